//! The policies that ours is measured against, each on bytes, as their papers say and no better.

/// A cache of numbered objects that is asked for each in turn, and takes in what it did not have.
pub(crate) trait Policy {
    /// Whether it has it. Where not, it takes it in, or does not, as it likes.
    fn request(&mut self, object: u32, size: u64) -> bool;
}

const NONE: u32 = u32::MAX;

/// A doubly linked list of objects, newest in front; knows its bytes.
struct Queue {
    next: Vec<u32>,
    prev: Vec<u32>,
    sizes: std::rc::Rc<[u64]>,
    bytes: u64,
}

impl Queue {
    fn new(sizes: &std::rc::Rc<[u64]>) -> Self {
        let end = sizes.len();
        let mut queue = Self {
            next: vec![NONE; end + 1],
            prev: vec![NONE; end + 1],
            sizes: sizes.clone(),
            bytes: 0,
        };
        queue.next[end] = end as u32;
        queue.prev[end] = end as u32;
        queue
    }

    fn end(&self) -> u32 {
        self.sizes.len() as u32
    }

    fn has(&self, object: u32) -> bool {
        self.next[object as usize] != NONE
    }

    fn push(&mut self, object: u32) {
        let end = self.end();
        let first = self.next[end as usize];
        self.next[object as usize] = first;
        self.prev[object as usize] = end;
        self.prev[first as usize] = object;
        self.next[end as usize] = object;
        self.bytes += self.sizes[object as usize];
    }

    fn remove(&mut self, object: u32) -> bool {
        if !self.has(object) {
            return false;
        }
        let (before, after) = (self.prev[object as usize], self.next[object as usize]);
        self.next[before as usize] = after;
        self.prev[after as usize] = before;
        self.next[object as usize] = NONE;
        self.bytes -= self.sizes[object as usize];
        true
    }

    fn last(&self) -> Option<u32> {
        let last = self.prev[self.end() as usize];
        (last != self.end()).then_some(last)
    }

    fn pop(&mut self) -> Option<u32> {
        let last = self.last()?;
        self.remove(last);
        Some(last)
    }
}

/// The least recently used goes.
pub(crate) struct Lru {
    queue: Queue,
    room: u64,
}

impl Lru {
    pub(crate) fn new(sizes: &std::rc::Rc<[u64]>, room: u64) -> Self {
        Self { queue: Queue::new(sizes), room }
    }
}

impl Policy for Lru {
    fn request(&mut self, object: u32, size: u64) -> bool {
        let hit = self.queue.remove(object);
        if hit || size <= self.room {
            self.queue.push(object);
        }
        while self.queue.bytes > self.room {
            self.queue.pop();
        }
        hit
    }
}

/// Two LRU lists; a hit promotes to the one that holds four fifths.
pub(crate) struct Slru {
    probation: Queue,
    protected: Queue,
    room: u64,
}

impl Slru {
    pub(crate) fn new(sizes: &std::rc::Rc<[u64]>, room: u64) -> Self {
        Self { probation: Queue::new(sizes), protected: Queue::new(sizes), room }
    }

    fn touch(&mut self, object: u32) -> bool {
        if !self.protected.remove(object) && !self.probation.remove(object) {
            return false;
        }
        self.protected.push(object);
        while self.protected.bytes > self.room / 5 * 4 {
            let Some(demoted) = self.protected.pop() else { break };
            self.probation.push(demoted);
        }
        true
    }

    fn bytes(&self) -> u64 {
        self.probation.bytes + self.protected.bytes
    }

    fn evict(&mut self) {
        if self.probation.pop().is_none() {
            self.protected.pop();
        }
    }

    fn victim(&self) -> Option<u32> {
        self.probation.last().or_else(|| self.protected.last())
    }
}

impl Policy for Slru {
    fn request(&mut self, object: u32, size: u64) -> bool {
        if self.touch(object) {
            return true;
        }
        if size <= self.room {
            self.probation.push(object);
        }
        while self.bytes() > self.room {
            self.evict();
        }
        false
    }
}

/// Adaptive replacement: recency and frequency share the room as their ghosts say.
pub(crate) struct Arc {
    recent: Queue,
    frequent: Queue,
    recent_ghosts: Queue,
    frequent_ghosts: Queue,
    target: u64,
    room: u64,
}

impl Arc {
    pub(crate) fn new(sizes: &std::rc::Rc<[u64]>, room: u64) -> Self {
        let queue = || Queue::new(sizes);
        let (recent, frequent) = (queue(), queue());
        Self { recent, frequent, recent_ghosts: queue(), frequent_ghosts: queue(), target: 0, room }
    }

    fn replace(&mut self, in_frequent_ghosts: bool, size: u64) {
        while self.recent.bytes + self.frequent.bytes + size > self.room {
            let over = self.recent.bytes > self.target
                || (in_frequent_ghosts && self.recent.bytes == self.target);
            let from_recent =
                self.recent.last().is_some() && (over || self.frequent.last().is_none());
            if from_recent {
                let Some(gone) = self.recent.pop() else { break };
                self.recent_ghosts.push(gone);
            } else {
                let Some(gone) = self.frequent.pop() else { break };
                self.frequent_ghosts.push(gone);
            }
        }
    }

    fn adapt(&mut self, towards_recent: bool, size: u64) {
        let (ours, other) = match towards_recent {
            true => (self.recent_ghosts.bytes, self.frequent_ghosts.bytes),
            false => (self.frequent_ghosts.bytes, self.recent_ghosts.bytes),
        };
        let step = size.max((size as f64 * other as f64 / ours.max(1) as f64) as u64);
        self.target = match towards_recent {
            true => (self.target + step).min(self.room),
            false => self.target.saturating_sub(step),
        };
    }

    fn forget(&mut self) {
        while self.recent.bytes + self.recent_ghosts.bytes > self.room
            && self.recent_ghosts.pop().is_some()
        {}
        let all = |arc: &Self| {
            arc.recent.bytes
                + arc.frequent.bytes
                + arc.recent_ghosts.bytes
                + arc.frequent_ghosts.bytes
        };
        while all(self) > 2 * self.room && self.frequent_ghosts.pop().is_some() {}
    }
}

impl Policy for Arc {
    fn request(&mut self, object: u32, size: u64) -> bool {
        if self.recent.remove(object) || self.frequent.remove(object) {
            self.frequent.push(object);
            return true;
        }
        if size > self.room {
            return false;
        }
        let (in_recent, in_frequent) =
            (self.recent_ghosts.has(object), self.frequent_ghosts.has(object));
        if in_recent || in_frequent {
            self.adapt(in_recent, size);
        }
        self.recent_ghosts.remove(object);
        self.frequent_ghosts.remove(object);
        self.replace(in_frequent, size);
        if in_recent || in_frequent {
            self.frequent.push(object);
        } else {
            self.recent.push(object);
        }
        self.forget();
        false
    }
}

/// A small queue of a tenth, a main one, and ghosts: three FIFOs.
pub(crate) struct S3Fifo {
    small: Queue,
    main: Queue,
    ghosts: Queue,
    uses: Vec<u8>,
    room: u64,
}

impl S3Fifo {
    pub(crate) fn new(sizes: &std::rc::Rc<[u64]>, room: u64) -> Self {
        let queue = || Queue::new(sizes);
        Self { small: queue(), main: queue(), ghosts: queue(), uses: vec![0; sizes.len()], room }
    }

    fn evict(&mut self) {
        if self.small.bytes > self.room / 10 || self.main.last().is_none() {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    fn evict_small(&mut self) {
        while let Some(object) = self.small.pop() {
            if self.uses[object as usize] > 1 {
                self.uses[object as usize] = 0;
                self.main.push(object);
                continue;
            }
            self.ghosts.push(object);
            while self.ghosts.bytes > self.room / 10 * 9 {
                self.ghosts.pop();
            }
            return;
        }
    }

    fn evict_main(&mut self) {
        while let Some(object) = self.main.pop() {
            let uses = &mut self.uses[object as usize];
            if *uses == 0 {
                return;
            }
            *uses -= 1;
            self.main.push(object);
        }
    }
}

impl Policy for S3Fifo {
    fn request(&mut self, object: u32, size: u64) -> bool {
        if self.small.has(object) || self.main.has(object) {
            let uses = &mut self.uses[object as usize];
            *uses = (*uses + 1).min(3);
            return true;
        }
        if size > self.room {
            return false;
        }
        while self.small.bytes + self.main.bytes + size > self.room {
            self.evict();
        }
        self.uses[object as usize] = 0;
        if self.ghosts.remove(object) {
            self.main.push(object);
        } else {
            self.small.push(object);
        }
        false
    }
}

/// A window of a hundredth before an SLRU that takes only what was asked for more often than what it displaces.
pub(crate) struct WTinyLfu {
    window: Queue,
    main: Slru,
    counts: Sketch,
    room: u64,
}

impl WTinyLfu {
    pub(crate) fn new(sizes: &std::rc::Rc<[u64]>, room: u64) -> Self {
        let mean = sizes.iter().sum::<u64>() / sizes.len() as u64;
        let counts = Sketch::new((room / mean.max(1)) as usize);
        Self { window: Queue::new(sizes), main: Slru::new(sizes, room - room / 100), counts, room }
    }

    fn admit(&mut self, candidate: u32, size: u64) {
        if size > self.main.room {
            return;
        }
        while self.main.bytes() + size > self.main.room {
            let Some(victim) = self.main.victim() else { return };
            if self.counts.of(candidate) <= self.counts.of(victim) {
                return;
            }
            self.main.evict();
        }
        self.main.probation.push(candidate);
    }
}

impl Policy for WTinyLfu {
    fn request(&mut self, object: u32, size: u64) -> bool {
        self.counts.add(object);
        if self.window.remove(object) {
            self.window.push(object);
            return true;
        }
        if self.main.touch(object) {
            return true;
        }
        if size > self.room {
            return false;
        }
        self.window.push(object);
        while self.window.bytes > self.room / 100 {
            let Some(candidate) = self.window.pop() else { break };
            self.admit(candidate, self.window.sizes[candidate as usize]);
        }
        false
    }
}

/// A count-min sketch of four rows whose counts are halved now and then.
struct Sketch {
    rows: [Vec<u8>; 4],
    added: usize,
    sample: usize,
}

impl Sketch {
    fn new(objects: usize) -> Self {
        let width = (objects.max(16) * 4).next_power_of_two();
        Self {
            rows: std::array::from_fn(|_| vec![0; width]),
            added: 0,
            sample: objects.max(16) * 10,
        }
    }

    fn place(&self, row: usize, object: u32) -> usize {
        let seed = [
            0x9E37_79B9_7F4A_7C15,
            0xC2B2_AE3D_27D4_EB4F,
            0x1656_67B1_9E37_79F9,
            0x27D4_EB2F_1656_67C5_u64,
        ];
        let mixed = (u64::from(object) + 1).wrapping_mul(seed[row]);
        (mixed ^ (mixed >> 32)).wrapping_mul(seed[(row + 1) % 4]) as usize >> 20
            & (self.rows[row].len() - 1)
    }

    fn of(&self, object: u32) -> u8 {
        (0..4).map(|row| self.rows[row][self.place(row, object)]).min().unwrap_or(0)
    }

    fn add(&mut self, object: u32) {
        for row in 0..4 {
            let place = self.place(row, object);
            self.rows[row][place] = (self.rows[row][place] + 1).min(15);
        }
        self.added += 1;
        if self.added >= self.sample {
            self.added /= 2;
            self.rows.iter_mut().flatten().for_each(|count| *count /= 2);
        }
    }
}
