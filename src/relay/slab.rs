//! A list whose places are used again, with keys that are not.
//!
//! Who hands the keys out is not who has the values: a value is put in its place, and
//! taken out of it, in the order in which that was decided.

/// Where a value is. The key of a removed value never finds its successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// The place.
    pub(super) index: u32,
    /// How many values had the place before.
    pub(super) generation: u32,
}

/// The keys that are in use.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// How many places there are.
    places: u32,
    /// The next keys of those that are free again.
    free: Vec<Key>,
}

impl Keys {
    /// One that was never in use.
    pub(super) fn take(&mut self) -> Key {
        self.free.pop().unwrap_or_else(|| {
            let index = self.places;
            self.places = self.places.saturating_add(1);
            Key { index, generation: 0 }
        })
    }

    /// Lets its place be used again, under another key.
    pub(super) fn give_back(&mut self, Key { index, generation }: Key) {
        self.free.push(Key { index, generation: generation.wrapping_add(1) });
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// On its own, so that a slab that grows moves none of them.
    value: Option<Box<T>>,
}

/// Values under [`Key`]s.
#[derive(Debug)]
pub(super) struct Slab<T>(Vec<Slot<T>>);

impl<T> Slab<T> {
    /// An empty slab.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps a value.
    pub(super) fn put(&mut self, Key { index, generation }: Key, value: Box<T>) {
        let index = index as usize;
        if self.0.len() <= index {
            self.0.resize_with(index.saturating_add(1), || Slot { generation, value: None });
        }
        if let Some(slot) = self.0.get_mut(index) {
            *slot = Slot { generation, value: Some(value) };
        }
    }

    /// The value of a key, unless it was removed.
    pub(super) fn find(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.0.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_deref_mut() } else { None }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, key: Key) -> Option<Box<T>> {
        let slot = self.0.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_does_not_find_the_successor() {
        let (mut keys, mut slab) = (Keys::default(), Slab::new());
        let first = keys.take();
        slab.put(first, Box::new("first"));
        keys.give_back(first);
        let second = keys.take();
        assert_eq!(second.index, first.index);
        // Not before it is there itself.
        assert_eq!(slab.find(second), None);
        assert_eq!(slab.remove(second), None);
        assert_eq!(slab.remove(first), Some(Box::new("first")));
        slab.put(second, Box::new("second"));
        assert_eq!(slab.find(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.find(second), Some(&mut "second"));
        assert_ne!(keys.take().index, second.index);
    }
}
