//! Conditions, templates and patterns ask and compare without allocating.

use std::borrow::Cow;
use std::net::IpAddr;

use allocation_counter::measure;
use http::Method;
use switchback_value::{
    Condition, Facts, Known, MapTable, MediaRange, PathGlob, Scope, Template, Variable, escape,
};

fn allocations_of(run: impl FnOnce()) -> u64 {
    measure(run).count_total
}

struct Request;

impl Facts for Request {
    fn fact(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        match variable {
            Variable::Known(Known::Host) => Some(Cow::Borrowed(b"shop.example")),
            Variable::Header(name) if name == http::header::USER_AGENT => {
                Some(Cow::Borrowed(b"Mozilla/5.0 \"x\""))
            }
            Variable::Header(name) if name == http::header::ORIGIN => {
                Some(Cow::Borrowed(b"https://shop.example"))
            }
            Variable::Argument(name) if **name == *"page" => Some(Cow::Borrowed(b"7")),
            Variable::Capture(0) => Some(Cow::Borrowed(b"42")),
            _ => None,
        }
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([10, 1, 2, 3]))
    }

    fn method(&self) -> &Method {
        &Method::GET
    }
}

fn scope() -> Scope {
    Scope::with_captures(["id"])
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_condition_allocates_nothing() {
    let text = "$host == 'shop.example' && $http_x_absent != 'a' && $arg_page && exists $http_user_agent \
                && $http_origin == 'https://$host' && {id} in [1, 42] && $remote_addr in [192.0.2.0/24, 10.0.0.0/8] \
                && $request_method in [HEAD, GET] && !($host == 'other' || $remote_addr in [::1])";
    let condition = Condition::parse(text, &scope()).unwrap();
    let mut holds = false;
    assert_eq!(allocations_of(|| holds = condition.holds(&Request)), 0);
    assert!(holds);
}

#[test]
fn a_regex_allocates_nothing_once_it_is_warm() {
    let condition =
        Condition::parse(r"$http_user_agent ~* 'mozilla/\d' && $host !~ '^www\.'", &scope())
            .unwrap();
    assert!(condition.holds(&Request));
    assert_eq!(allocations_of(|| assert!(condition.holds(&Request))), 0);
}

#[test]
fn rendering_into_a_buffer_with_room_allocates_nothing() {
    let template =
        Template::parse("$host/{id}?$arg_page \"$http_user_agent\" $remote_user", &scope())
            .unwrap();
    let mut out = Vec::with_capacity(256);
    for escape in [escape::log, escape::json] {
        out.clear();
        assert_eq!(allocations_of(|| template.render_with(&Request, &mut out, escape, b"-")), 0);
        assert!(out.starts_with(b"shop.example/42?7 \"Mozilla/5.0 ") && out.ends_with(b" -"));
    }
}

#[test]
fn a_key_in_small_letters_is_found_without_allocating() {
    let mut table = MapTable::new(true);
    for key in ["shop.example", "*.example", "www.*", "~^static"] {
        table.insert(key, Template::literal(key)).unwrap();
    }
    let keys = ["shop.example", "a.b.example", "www.a.b", "static", "nothing"];
    let find = || keys.iter().filter_map(|key| table.find(key.as_bytes())).count();
    // Once, so that the regex has its caches.
    assert_eq!(find(), 4);
    assert_eq!(allocations_of(|| assert_eq!(find(), 4)), 0);
}

#[test]
fn types_and_paths_are_compared_without_allocating() {
    let range = MediaRange::parse("application/*+json").unwrap();
    let glob = PathGlob::parse("/assets/*.min.*.js").unwrap();
    let allocations = allocations_of(|| {
        assert!(range.is_match(b"Application/LD+JSON; charset=utf-8"));
        assert!(glob.is_match(b"/assets/app.min.1.js"));
    });
    assert_eq!(allocations, 0);
}
