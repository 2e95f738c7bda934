use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use switchback_plugin::testing::{Harness, Scene, Surroundings};

use super::writer::database;
use super::*;
use crate::trial::assert_refused;

fn cities() -> Vec<u8> {
    database(&[
        (
            "192.0.2.0/24",
            json!({
                "continent": {"code": "EU", "names": {"en": "Europe"}},
                "country": {"iso_code": "DE", "geoname_id": 1},
                "subdivisions": [{"iso_code": "BE"}, {"iso_code": "XX"}],
                "city": {"names": {"de": "Berlin (de)", "en": "Berlin"}},
                "postal": {"code": "10117"},
                "location": {"latitude": 52.5, "longitude": 13.25, "time_zone": "Europe/Berlin", "accuracy_radius": 5},
            }),
        ),
        ("2001:db8::/32", json!({"country": {"iso_code": "FR"}})),
        ("198.51.100.0/24", json!({"country": {"iso_code": "US"}})),
    ])
}

fn systems() -> Vec<u8> {
    database(&[(
        "192.0.2.0/23",
        json!({"autonomous_system_number": 64496, "autonomous_system_organization": "Example Net", "country": {"iso_code": "ZZ"}}),
    )])
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        world.write("city.mmdb", &cities());
        world.write("asn.mmdb", &systems());
        world
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn geo(&self, more: &str) -> Harness<Geo> {
        let around =
            Surroundings { folder: Some(self.folder.path().to_owned()), ..Surroundings::default() };
        let options = format!(r#"{{"databases": ["city.mmdb", "asn.mmdb"]{more}}}"#);
        Harness::within(around, &options).unwrap()
    }
}

fn variables(scene: &Scene) -> Vec<String> {
    let of = |field: Field| {
        let value = scene.variable(field.variable()).unwrap_or(b"-");
        String::from_utf8(value.to_vec()).unwrap()
    };
    Field::ALL.map(of).to_vec()
}

#[test]
fn what_the_files_say_is_in_variables() {
    let world = World::new();
    let mut scene = Scene::get("/").with_client("192.0.2.7");
    assert_eq!(world.geo("").request(&mut scene).status, 200);
    let known = [
        "DE",
        "EU",
        "BE",
        "Berlin",
        "10117",
        "52.5",
        "13.25",
        "Europe/Berlin",
        "64496",
        "Example Net",
    ];
    assert_eq!(variables(&scene), known);
    let mut scene = Scene::get("/").with_client("192.0.3.7");
    world.geo("").request(&mut scene);
    assert_eq!(variables(&scene)[0], "ZZ", "the first file says nothing of it");
    for unknown in ["10.0.0.1", "::1", "unix:"] {
        let mut scene = Scene::get("/").with_client(unknown);
        assert_eq!(world.geo("").request(&mut scene).status, 200);
        assert_eq!(variables(&scene), ["-"; 10]);
    }
}

#[test]
fn headers_are_set_and_those_of_clients_are_removed() {
    let world = World::new();
    let mut harness = world.geo(r#", "headers": {"X-Country": "country", "x-asn": "asn"}"#);
    let mut scene = Scene::get("/").with_client("192.0.2.7").with_header("x-country", "US");
    harness.request(&mut scene);
    assert_eq!((scene.header("x-country"), scene.header("x-asn")), (Some("DE"), Some("64496")));
    let mut scene = Scene::get("/").with_client("10.0.0.1").with_header("x-country", "US");
    harness.request(&mut scene);
    assert_eq!(scene.header("x-country"), None);
}

#[test]
fn countries_are_let_through_or_not() {
    let world = World::new();
    let status = |more: &str, client: &str| {
        world.geo(more).request(&mut Scene::get("/").with_client(client)).status
    };
    let (german, french, american, unknown) =
        ("::ffff:192.0.2.7", "2001:db8::1", "198.51.100.1", "10.0.0.1");
    let allow = r#", "allow": ["de", "FR"], "deny": ["FR"], "status": 451"#;
    assert_eq!(
        [german, french, american, unknown].map(|client| status(allow, client)),
        [200, 451, 451, 451]
    );
    let deny = r#", "deny": ["US"]"#;
    assert_eq!([german, american, unknown].map(|client| status(deny, client)), [200, 403, 200]);
    assert_eq!(status(r#", "deny": ["US"], "deny_unknown": true"#, unknown), 403);
    assert_eq!(status(r#", "allow": ["US"], "deny_unknown": false"#, unknown), 200);
}

#[test]
fn a_file_that_changes_is_read_again_and_a_damaged_one_is_not() {
    let world = World::new();
    let mut harness = world.geo(r#", "reload": "10s", "allow": ["DE"]"#);
    let status = |harness: &mut Harness<Geo>| {
        harness.request(&mut Scene::get("/").with_client("192.0.2.7")).status
    };
    world.write("city.mmdb", &cities()[..100]);
    harness.advance(Duration::from_secs(10));
    assert_eq!(status(&mut harness), 200);
    world
        .write("city.mmdb", &database(&[("192.0.2.0/24", json!({"country": {"iso_code": "AT"}}))]));
    harness.advance(Duration::from_secs(10));
    assert_eq!(status(&mut harness), 403);
    assert!(harness.lines().iter().any(|line| line.message.contains("city.mmdb")));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let world = World::new();
    world.write("broken.mmdb", b"nothing");
    let at =
        |name: &str| serde_json::to_string(&Path::new(world.folder.path()).join(name)).unwrap();
    let with = |more: &str| format!(r#"{{"databases": [{}]{more}}}"#, at("city.mmdb"));
    let cases = [
        (r#"{"databases": []}"#.to_owned(), "databases", "no file"),
        (
            format!(r#"{{"databases": [{}, {}]}}"#, at("city.mmdb"), at("broken.mmdb")),
            "databases[1]",
            "broken.mmdb",
        ),
        (format!(r#"{{"databases": [{}]}}"#, at("missing.mmdb")), "databases[0]", "missing.mmdb"),
        (with(r#", "status": 302"#), "status", "does not refuse"),
        (with(r#", "headers": {"a b": "city"}"#), "headers.a b", "no name of a header"),
        (with(r#", "headers": {"x": "planet"}"#), "headers.x", "planet"),
        (with(r#", "allow": ["DE", "Germany"]"#), "allow[1]", "no country"),
        (with(r#", "deny": ["D1"]"#), "deny[0]", "no country"),
        (with(r#", "reload": "1ms""#), "reload", "10ms"),
        (with(r#", "block": ["DE"]"#), "block", "unknown"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(options, path, message)| (options.as_str(), *path, *message)).collect();
    assert_refused::<Geo>(&cases);
}

proptest! {
    #[test]
    fn a_damaged_file_harms_nobody(at: prop::sample::Index, byte: u8, address: u32) {
        let mut file = cities();
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(database) = Database::new(file) {
            let mut place = Place::default();
            place.complete(&database, std::net::Ipv4Addr::from_bits(address).into());
            place.complete(&database, "192.0.2.7".parse().unwrap());
        }
    }
}
