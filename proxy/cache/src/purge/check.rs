//! What holds of any records whatever, for the fuzzer and its corpus.

use bytes::Bytes;

use super::Purges;
use super::record::Record;
use super::table::What;

/// A record that can be read is written as it was read; what the next process makes of records tells the one after it the same;
/// where one cannot be read, everything is purged.
pub(crate) fn check(records: &[Bytes]) {
    let read: Vec<_> = records.iter().map(|bytes| Record::read(bytes)).collect();
    for (bytes, record) in records.iter().zip(&read) {
        let written = record.as_ref().map(Record::write);
        assert!(written.is_none_or(|written| written == bytes), "{}", bytes.escape_ascii());
    }
    let restored = Purges::restore(records);
    let latest = read.iter().flatten().map(|record| record.at).max();
    if read.iter().any(Option::is_none) || records.is_empty() {
        let is_all = |record: &Record| record.what == What::Everything;
        assert!(noted(&restored).iter().any(is_all), "something holds that may have been purged");
    } else {
        assert!(latest.is_none_or(|latest| restored.clock() > latest), "the clock goes back");
    }
    let again = Purges::restore(&restored.records());
    assert_eq!(noted(&again), noted(&restored));
    assert!(again.clock() > restored.clock(), "two processes have one epoch");
    Purges::new().learn(records);
}

/// All that is noted, in order, without the time.
fn noted(purges: &Purges) -> Vec<Record> {
    let records = purges.records();
    let records = records.iter().filter_map(|bytes| Record::read(bytes));
    let mut noted: Vec<_> = records.filter(|record| record.what != What::Nothing).collect();
    noted.sort_by_key(Record::write);
    noted
}
