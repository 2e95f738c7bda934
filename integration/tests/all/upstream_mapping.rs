//! Which shard has a key, beside the program whose mapping it is.

use switchback_integration::{beside_nginx, ip_hash_beside_nginx};

#[test]
fn keys_go_where_nginx_sends_them() {
    let Some(kinds) = beside_nginx(5000) else { return };
    for found in kinds {
        assert_eq!(found.differences, [""; 0], "{}", found.directive);
        assert_eq!((found.alike, found.second_alike), (found.keys, found.second_keys));
        assert!(found.keys == 5000 && found.second_keys > 500, "{found:?}");
    }
}

#[test]
fn clients_go_where_nginx_sends_them_by_their_addresses() {
    let Some(found) = ip_hash_beside_nginx(800) else { return };
    assert_eq!(found.differences, [""; 0]);
    assert_eq!((found.alike, found.second_alike), (found.keys, found.second_keys));
    assert!(found.keys == 800 && found.second_keys > 100, "{found:?}");
}
