//! Orders to a thread that waits in epoll: a list, and an eventfd that wakes it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::task::lock;

/// The end that gives orders. Where it is dropped, the other one gets those that were
/// given, and then hears that it is over.
#[derive(Debug)]
pub(crate) struct Orderer<T>(Arc<Shared<T>>);

/// The end that carries them out.
#[derive(Debug)]
pub(crate) struct Orders<T>(Arc<Shared<T>>);

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// An order.
    Order(T),
    /// Nothing, for now.
    Nothing,
    /// Nothing any more.
    Over,
}

#[derive(Debug)]
struct Shared<T> {
    list: Mutex<List<T>>,
    wake: EventFd,
}

#[derive(Debug)]
struct List<T> {
    orders: VecDeque<T>,
    /// One of the ends is gone.
    over: bool,
}

/// Both ends.
///
/// # Errors
/// Where the system has no eventfd left.
pub(crate) fn channel<T>() -> io::Result<(Orderer<T>, Orders<T>)> {
    let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let list = Mutex::new(List { orders: VecDeque::new(), over: false });
    let shared = Arc::new(Shared { list, wake });
    Ok((Orderer(Arc::clone(&shared)), Orders(shared)))
}

impl<T> Shared<T> {
    fn list(&self) -> MutexGuard<'_, List<T>> {
        lock(&self.list)
    }

    fn wake(&self) {
        // It fails only when it was written 2^64 times without a reading.
        let _ = self.wake.write(1);
    }
}

impl<T> Orderer<T> {
    /// Gives an order, which wakes nobody. `false`: the thread has ended.
    pub(crate) fn give(&self, order: T) -> bool {
        let mut list = self.0.list();
        if !list.over {
            list.orders.push_back(order);
        }
        !list.over
    }

    /// Wakes the thread.
    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

impl<T> Drop for Orderer<T> {
    fn drop(&mut self) {
        self.0.list().over = true;
        self.0.wake();
    }
}

impl<T> Orders<T> {
    /// The next order.
    pub(crate) fn next(&self) -> Next<T> {
        let mut list = self.0.list();
        match list.orders.pop_front() {
            Some(order) => Next::Order(order),
            None if list.over => Next::Over,
            None => Next::Nothing,
        }
    }

    /// The thread is awake; it will be woken for what is given from now on.
    pub(crate) fn woken(&self) {
        let _ = self.0.wake.read();
    }

    /// Wakes the thread itself, once it waits: it has left orders for later.
    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

impl<T> Drop for Orders<T> {
    fn drop(&mut self) {
        let mut list = self.0.list();
        list.over = true;
        let left = std::mem::take(&mut list.orders);
        drop(list);
        // Whoever waits for an answer to one of these hears that there will be none.
        drop(left);
    }
}

/// Readable when the thread is woken.
impl<T> AsFd for Orders<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_woken(orders: &Orders<u8>) -> bool {
        poll(&mut [PollFd::new(orders.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn orders_come_in_order_and_the_end_behind_them() {
        let (orderer, orders) = channel().unwrap();
        assert_eq!(orders.next(), Next::Nothing);
        assert!(orderer.give(1) && orderer.give(2));
        assert!(!is_woken(&orders));
        orderer.wake();
        assert!(is_woken(&orders));
        orders.woken();
        assert!(!is_woken(&orders));
        drop(orderer);
        assert!(is_woken(&orders));
        for next in [Next::Order(1), Next::Order(2), Next::Over, Next::Over] {
            assert_eq!(orders.next(), next);
        }
    }

    #[test]
    fn who_is_gone_takes_no_orders_and_keeps_none() {
        let (orderer, orders) = channel().unwrap();
        let answer = Arc::new(());
        assert!(orderer.give(Arc::clone(&answer)));
        drop(orders);
        assert_eq!(Arc::strong_count(&answer), 1);
        assert!(!orderer.give(Arc::clone(&answer)));
        assert_eq!(Arc::strong_count(&answer), 1);
        orderer.wake();
    }
}
