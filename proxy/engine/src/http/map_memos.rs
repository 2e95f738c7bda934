//! What maps have made of one request.

use std::sync::Arc;

use switchback_value::Memo;

use crate::snapshot::map::LiveMap;

/// The value of one map; `None` when nothing is said of its key.
pub(crate) type Kept = Memo<Option<Vec<u8>>>;

/// What maps have made of a request. Takes no memory before one is asked for.
#[derive(Debug, Default)]
pub(crate) struct MapMemos {
    /// Of maps whose value stays the same to the end, shared with inner requests.
    settled: Memo<Arc<[Kept]>>,
    /// Of maps that depend on what may still become of the request.
    passing: Memo<Box<[Kept]>>,
}

impl MapMemos {
    /// Where the value of map `index` of `maps` is kept.
    pub(crate) fn memo(&self, maps: &[LiveMap], index: usize) -> Option<&Kept> {
        let blank = || maps.iter().map(|_| Memo::new());
        if maps.get(index)?.is_settled {
            self.settled.value_or(|| blank().collect()).get(index)
        } else {
            self.passing.value_or(|| blank().collect()).get(index)
        }
    }

    /// The same for an inner request on these `maps`: what is settled is looked up once for both.
    pub(crate) fn inherit(&self, maps: &[LiveMap]) -> Self {
        if !maps.is_empty() {
            self.settled.value_or(|| maps.iter().map(|_| Memo::new()).collect());
        }
        Self { settled: self.settled.clone(), passing: Memo::new() }
    }

    /// Drops what depends on the answer or the route, because one of them has changed.
    pub(crate) fn forget_passing(&mut self) {
        self.passing.forget();
    }
}

#[cfg(test)]
mod tests {
    use switchback_conf::plan::MapPlan;
    use switchback_value::{Scope, Template};

    use super::*;

    fn maps() -> Vec<LiveMap> {
        let map = |is_settled| {
            LiveMap::new(MapPlan {
                name: "m".into(),
                key: Template::parse("$uri", &Scope::new()).unwrap(),
                table: Arc::default(),
                is_settled,
                file: None,
            })
        };
        vec![map(true), map(false)]
    }

    fn looked_up(memos: &MapMemos, maps: &[LiveMap], index: usize, now: &[u8]) -> Vec<u8> {
        let memo = memos.memo(maps, index).unwrap();
        memo.value_or(|| Some(now.to_vec())).clone().unwrap()
    }

    #[test]
    fn a_map_is_looked_up_once_and_again_only_if_it_depends_on_what_has_changed() {
        let maps = maps();
        let mut memos = MapMemos::default();
        for index in 0..maps.len() {
            assert_eq!(looked_up(&memos, &maps, index, b"first"), b"first");
            assert_eq!(looked_up(&memos, &maps, index, b"second"), b"first");
        }
        memos.forget_passing();
        assert_eq!(looked_up(&memos, &maps, 0, b"third"), b"first");
        assert_eq!(looked_up(&memos, &maps, 1, b"third"), b"third");
        assert!(memos.memo(&maps, 2).is_none());
    }

    #[test]
    fn an_inner_request_looks_up_nothing_settled_a_second_time() {
        let maps = maps();
        let outer = MapMemos::default();
        let inner = outer.inherit(&maps);
        assert_eq!(looked_up(&inner, &maps, 0, b"inner"), b"inner");
        assert_eq!(looked_up(&outer, &maps, 0, b"outer"), b"inner");
        assert_eq!(looked_up(&inner, &maps, 1, b"inner"), b"inner");
        assert_eq!(looked_up(&outer, &maps, 1, b"outer"), b"outer");
    }

    #[test]
    fn without_maps_nothing_is_kept() {
        let inherited = MapMemos::default().inherit(&[]);
        assert!(inherited.settled.known().is_none() && inherited.passing.known().is_none());
    }
}
