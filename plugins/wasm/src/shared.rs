//! What instances share: data by key, and queues. Both are bounded, and outlive reloads.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::status::Status;

/// Bytes of keys and values, of all plugins together.
const MAX_BYTES: usize = 64 << 20;
/// Keys, and waiting items of queues.
const MAX_ENTRIES: usize = 65_536;
const MAX_QUEUES: usize = 1024;
/// The longest name or key.
const MAX_NAME: usize = 4096;

/// Who shares: the plugin's name, where Envoy has the id of a virtual machine.
type Owner = str;

/// All that is shared.
#[derive(Default)]
pub(crate) struct Shared {
    data: Mutex<Data>,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Data {
    values: HashMap<(Box<str>, Bytes), (Bytes, u32)>,
    bytes: usize,
    /// The last number that was given to a value.
    last: u32,
}

#[derive(Default)]
struct Queues {
    ids: HashMap<(Box<str>, Bytes), u32>,
    items: Vec<VecDeque<Bytes>>,
    count: usize,
    bytes: usize,
}

impl Shared {
    /// The value of a key, and the number to change it with.
    pub(crate) fn value(&self, owner: &Owner, key: &[u8]) -> Option<(Bytes, u32)> {
        let key = (owner.into(), Bytes::copy_from_slice(key));
        self.data.lock().values.get(&key).cloned()
    }

    /// Puts a value there, if `expected` is 0 or the number of what is there. An absent one forgets the key.
    ///
    /// # Errors
    ///
    /// [`Status::CasMismatch`]; [`Status::InternalFailure`] when there is no more room
    pub(crate) fn put(
        &self,
        owner: &Owner,
        key: &[u8],
        value: &[u8],
        expected: u32,
    ) -> Result<(), Status> {
        let key: (Box<str>, Bytes) = (owner.into(), Bytes::copy_from_slice(key));
        let data = &mut *self.data.lock();
        let before = data.values.get(&key);
        let has = before.map_or(0, |(_, number)| *number);
        if expected != 0 && expected != has {
            return Err(Status::CasMismatch);
        }
        let freed = before.map_or(0, |(value, _)| key.1.len() + value.len());
        let bytes = data.bytes - freed + key.1.len() + value.len();
        let is_full = before.is_none() && data.values.len() >= MAX_ENTRIES;
        if bytes > MAX_BYTES || key.1.len() > MAX_NAME || is_full {
            return Err(Status::InternalFailure);
        }
        data.bytes = bytes;
        data.last = data.last.checked_add(1).unwrap_or(1);
        data.values.insert(key, (Bytes::copy_from_slice(value), data.last));
        Ok(())
    }

    /// The queue of that name, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`Status::InternalFailure`] when there are too many
    pub(crate) fn register(&self, owner: &Owner, name: &[u8]) -> Result<u32, Status> {
        let queues = &mut *self.queues.lock();
        let key: (Box<str>, Bytes) = (owner.into(), Bytes::copy_from_slice(name));
        if let Some(id) = queues.ids.get(&key) {
            return Ok(*id);
        }
        if queues.items.len() >= MAX_QUEUES || name.len() > MAX_NAME {
            return Err(Status::InternalFailure);
        }
        queues.items.push(VecDeque::new());
        let id = u32::try_from(queues.items.len()).map_err(|_| Status::InternalFailure)?;
        queues.ids.insert(key, id);
        Ok(id)
    }

    /// The queue that another plugin has made.
    pub(crate) fn queue(&self, owner: &Owner, name: &[u8]) -> Option<u32> {
        let key = (owner.into(), Bytes::copy_from_slice(name));
        self.queues.lock().ids.get(&key).copied()
    }

    /// Puts an item at the end of a queue.
    ///
    /// # Errors
    ///
    /// [`Status::NotFound`]; [`Status::InternalFailure`] when there is no more room
    pub(crate) fn enqueue(&self, queue: u32, item: &[u8]) -> Result<(), Status> {
        let queues = &mut *self.queues.lock();
        let items = (queue as usize).checked_sub(1).and_then(|at| queues.items.get_mut(at));
        let items = items.ok_or(Status::NotFound)?;
        if queues.count >= MAX_ENTRIES || queues.bytes + item.len() > MAX_BYTES {
            return Err(Status::InternalFailure);
        }
        items.push_back(Bytes::copy_from_slice(item));
        queues.count += 1;
        queues.bytes += item.len();
        Ok(())
    }

    /// Takes the first item of a queue.
    ///
    /// # Errors
    ///
    /// [`Status::NotFound`], [`Status::Empty`]
    pub(crate) fn dequeue(&self, queue: u32) -> Result<Bytes, Status> {
        let queues = &mut *self.queues.lock();
        let items = (queue as usize).checked_sub(1).and_then(|at| queues.items.get_mut(at));
        let item = items.ok_or(Status::NotFound)?.pop_front().ok_or(Status::Empty)?;
        queues.count -= 1;
        queues.bytes -= item.len();
        Ok(item)
    }

    /// How many items wait in a queue.
    pub(crate) fn waiting(&self, queue: u32) -> usize {
        let queues = self.queues.lock();
        (queue as usize).checked_sub(1).and_then(|at| queues.items.get(at)).map_or(0, VecDeque::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_changes_only_for_who_has_seen_it() {
        let shared = Shared::default();
        assert_eq!(shared.value("a", b"k"), None);
        assert_eq!(shared.put("a", b"k", b"1", 7), Err(Status::CasMismatch));
        assert_eq!(shared.put("a", b"k", b"1", 0), Ok(()));
        let (value, number) = shared.value("a", b"k").unwrap();
        assert_eq!((&value[..], shared.value("b", b"k")), (&b"1"[..], None));
        assert_eq!(shared.put("a", b"k", b"2", number), Ok(()));
        assert_eq!(shared.put("a", b"k", b"3", number), Err(Status::CasMismatch));
        assert_eq!(&shared.value("a", b"k").unwrap().0[..], b"2");
    }

    #[test]
    fn data_and_queues_have_bounds() {
        let shared = Shared::default();
        let large = vec![0; MAX_BYTES / 2];
        assert_eq!(shared.put("a", b"1", &large, 0), Ok(()));
        assert_eq!(shared.put("a", b"2", &large, 0), Err(Status::InternalFailure));
        assert_eq!(shared.put("a", b"1", b"", 0), Ok(()), "what is replaced is not counted");
        assert_eq!(shared.put("a", b"2", &large, 0), Ok(()));
        assert_eq!(shared.put("a", &[0; MAX_NAME + 1], b"", 0), Err(Status::InternalFailure));

        let queue = shared.register("a", b"q").unwrap();
        for _ in 0..MAX_ENTRIES {
            shared.enqueue(queue, b"x").unwrap();
        }
        assert_eq!(shared.enqueue(queue, b"x"), Err(Status::InternalFailure));
        shared.dequeue(queue).unwrap();
        assert_eq!(shared.enqueue(queue, b"x"), Ok(()));
        for index in 1..MAX_QUEUES {
            shared.register("a", &index.to_le_bytes()).unwrap();
        }
        assert_eq!(shared.register("a", b"one more"), Err(Status::InternalFailure));
    }

    #[test]
    fn a_queue_gives_in_order_what_it_was_given() {
        let shared = Shared::default();
        let queue = shared.register("a", b"q").unwrap();
        assert_eq!(shared.register("a", b"q"), Ok(queue));
        assert_eq!((shared.queue("a", b"q"), shared.queue("b", b"q")), (Some(queue), None));
        assert_eq!(shared.dequeue(queue), Err(Status::Empty));
        shared.enqueue(queue, b"1").unwrap();
        shared.enqueue(queue, b"2").unwrap();
        assert_eq!(shared.waiting(queue), 2);
        assert_eq!(shared.dequeue(queue).as_deref(), Ok(&b"1"[..]));
        assert_eq!(shared.dequeue(queue).as_deref(), Ok(&b"2"[..]));
        assert_eq!(shared.enqueue(99, b""), Err(Status::NotFound));
        assert_eq!((shared.dequeue(0), shared.waiting(0)), (Err(Status::NotFound), 0));
    }
}
