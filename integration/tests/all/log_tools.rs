//! What reads and rotates nginx's logs does the same with ours.

use std::time::Duration;

use switchback_integration::{LogTools, rotation, slow_logs};

#[test]
fn goaccess_and_fail2ban_read_our_log_as_they_read_that_of_nginx() {
    let Some(tools) = LogTools::start() else { return };
    if let Some(filters) = tools.fail2ban() {
        for filtered in filters {
            assert!(!filtered.nginx.is_empty(), "{filtered:?}");
            assert_eq!(filtered.ours, filtered.nginx, "{}", filtered.filter);
        }
    }
    if let Some(read) = tools.goaccess() {
        assert!(read.lines >= 300, "{read:?}");
        // Lines that name no client are to be changed; `make show-everyday` falls short while there are any.
        assert_eq!((read.valid + read.nameless, read.failed), (read.lines, read.nameless));
    }
}

#[test]
fn after_logrotate_lines_go_to_the_new_file() {
    if let Some(result) = rotation() {
        assert_eq!(result, Ok(()));
    }
}

#[test]
fn answers_do_not_wait_for_logs_that_take_nothing() {
    let found = slow_logs(1, 2500);
    assert!(found.lost_to_full > 0 && found.lost_to_fifo > 0, "{found:?}");
    for time in [found.full, found.fifo] {
        assert!(time < Duration::from_millis(500), "{found:?}");
    }
}
