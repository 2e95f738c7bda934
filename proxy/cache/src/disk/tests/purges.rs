//! What was purged stays purged.

use super::*;

#[tokio::test]
async fn records_survive_in_their_order() {
    let rig = Rig::new();
    assert!(rig.disk.purges().is_empty());
    for record in ["one", "two", "", "three"] {
        rig.disk.record_purge(record.into()).await.unwrap();
    }
    assert_eq!(rig.again().purges(), ["one", "two", "", "three"]);
}

#[tokio::test]
async fn records_are_replaced_all_at_once() {
    let rig = Rig::new();
    rig.disk.record_purge("one".into()).await.unwrap();
    rig.disk.replace_purges(vec!["all".into(), "but one".into()]).await.unwrap();
    rig.disk.record_purge("two".into()).await.unwrap();
    assert_eq!(rig.again().purges(), ["all", "but one", "two"]);
}

#[tokio::test]
async fn what_another_process_purged_is_learned() {
    let rig = Rig::new();
    let other = rig.again();
    assert_eq!(rig.disk.new_purges().await, None);
    rig.disk.record_purge("mine".into()).await.unwrap();
    assert_eq!(rig.disk.new_purges().await, None, "its own is nothing new");
    other.record_purge("theirs".into()).await.unwrap();
    for disk in [&rig.disk, &other] {
        assert_eq!(disk.new_purges().await.unwrap(), ["mine", "theirs"]);
        assert_eq!(disk.new_purges().await, None);
    }
    other.replace_purges(vec!["all".into()]).await.unwrap();
    assert_eq!(rig.disk.new_purges().await.unwrap(), ["all"]);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused() {
    let rig = Rig::new();
    assert!(rig.disk.record_purge(vec![0; 65_537].into()).await.is_err());
    rig.disk.record_purge(vec![0; 65_536].into()).await.unwrap();
}

#[tokio::test]
async fn a_link_in_the_place_of_the_records_is_not_followed() {
    let rig = Rig::new();
    let outside = rig.folder.path().join("outside");
    std::fs::write(&outside, b"outside").unwrap();
    std::os::unix::fs::symlink(&outside, rig.path().join("purges")).unwrap();
    assert!(rig.disk.record_purge("one".into()).await.is_err());
    assert!(Disk::open(&settings(rig.folder.path(), LIMITS)).is_err());
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
}
