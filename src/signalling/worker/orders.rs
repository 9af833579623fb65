//! What the main thread orders of a SIP thread, and how that is done between datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tracing::{debug, error};

use super::Worker;
use crate::address::Directory;
use crate::family::Family;
use crate::orders::Next;
use crate::proxy::Datagram;
use crate::signalling::batch::{Inbox, Outbox};
use crate::signalling::counters::LastHeard;
use crate::signalling::peer_sockets::Peer;
use crate::signalling::sockets::SipSocket;

/// More batches than a queue holds. Where a peer socket could not be disconnected, as its
/// address is not there, its peer could go on for ever.
const MAX_BATCHES: usize = 1024;

/// What the main thread tells a SIP thread. Orders are carried out in order,
/// between datagrams.
#[derive(Debug)]
pub(in crate::signalling) enum Order {
    /// Watch these sockets too.
    Serve(Vec<SipSocket>),
    /// Have sockets for these peers, and for no others.
    Connect(Vec<Peer>),
    /// Hand back the sockets at these addresses, all where it is `None`. What
    /// arrives from then on waits in them, until they are served again or closed.
    Release(Option<Vec<SocketAddr>>, Sender<Vec<SipSocket>>),
    /// Go by these addresses.
    Readdress(Arc<Directory>, Arc<LastHeard>),
}

impl Worker {
    /// Does what the main thread ordered; `false`: the handle is gone. Fails only where
    /// stdout does.
    pub(super) fn carry_out_orders(&mut self, inbox: &mut Inbox, outbox: &mut Outbox) -> io::Result<bool> {
        loop {
            match self.orders.next() {
                Next::Order(Order::Serve(sockets)) => {
                    for socket in sockets {
                        let address = socket.address;
                        if let Err(error) = self.sockets.add(socket) {
                            error!(%address, %error, "a SIP socket cannot be watched; see fs.epoll.max_user_watches");
                        }
                    }
                }
                Next::Order(Order::Connect(peers)) => self.have_peers(&peers, inbox, outbox)?,
                Next::Order(Order::Release(addresses, reply)) => {
                    if addresses.is_none() {
                        self.have_peers(&[], inbox, outbox)?;
                    }
                    self.finish(outbox)?;
                    // Where nobody waits for them they close.
                    let _ = reply.send(self.sockets.remove(addresses.as_deref()));
                }
                Next::Order(Order::Readdress(directory, heard)) => {
                    self.proxy.set_directory(directory);
                    self.heard = heard;
                }
                Next::Nothing => return Ok(true),
                Next::Over => return Ok(false),
            }
        }
    }

    /// Closes the sockets of peers that are not among these, and makes those that are
    /// missing. What a peer sent before by another way is taken in first, so that nothing
    /// overtakes it.
    fn have_peers(&mut self, peers: &[Peer], inbox: &mut Inbox, outbox: &mut Outbox) -> io::Result<()> {
        // What an order before this one took in comes first.
        self.finish(outbox)?;
        for key in self.sockets.disconnect(peers) {
            self.read_out(key, inbox, outbox)?;
            self.send(outbox);
            self.sockets.close(key);
        }
        for &peer in peers {
            match self.sockets.connect(peer, self.options) {
                Ok(Some(open)) => {
                    self.finish(outbox)?;
                    self.receive(open, inbox, outbox)?;
                }
                Ok(None) => {}
                // All goes by the open socket then.
                Err(error) => debug!(peer = %peer.remote, %error, "no line"),
            }
        }
        Ok(())
    }

    /// Handles all that waits at a socket to which nothing more comes.
    fn read_out(&mut self, key: usize, inbox: &mut Inbox, outbox: &mut Outbox) -> io::Result<()> {
        let Some((socket, local)) = self.sockets.descriptor(key) else { return Ok(()) };
        let (now, family) = (self.clock.now(), Family::at(local));
        let mut in_vain = 0;
        for _ in 0..MAX_BATCHES {
            let count = inbox.receive(socket, family);
            for (remote, bytes) in (0..count).map_while(|index| inbox.get(index)) {
                self.datagram(now, &Datagram { local, remote, bytes }, outbox)?;
            }
            // Once may be an error for what was sent before.
            in_vain = if count > 0 { 0 } else { in_vain + 1 };
            if in_vain > 1 {
                break;
            }
        }
        Ok(())
    }
}
