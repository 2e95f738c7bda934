//! The table finds what a list finds that is sorted by the documented order and tried from its start.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::IpAddr;

use http::Method;
use proptest::prelude::*;
use switchback_route::{Captures, EncodedSlash, NormalPath, RouteId, RouteSpec, RouteTable};
use switchback_value::{Condition, Facts, PathPattern, Segment, Segments, Variable};

use crate::normal_path::raw_path;

struct Request(Method);

impl Facts for Request {
    fn fact(&self, _: &Variable) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn client_ip(&self) -> Option<IpAddr> {
        None
    }

    fn method(&self) -> &Method {
        &self.0
    }
}

/// One path of one route, for a list that is tried from its start.
struct Entry {
    route: RouteId,
    pattern: PathPattern,
    condition: Condition,
    order: Order,
}

/// What is less comes first; entries that are equal in it stay as written.
type Order = (Reverse<i32>, Class, Reverse<usize>, Vec<Kind>, Reverse<usize>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Exact,
    Regex,
    Rest,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Literal,
    Capture,
    Anything,
}

fn order_of(spec: &RouteSpec, pattern: &PathPattern) -> Order {
    let weight = spec.condition.weight();
    let (class, head, kinds, weight) = match pattern {
        PathPattern::Exact(path) => (Class::Exact, path.len(), Vec::new(), weight),
        PathPattern::Regex(_) => (Class::Regex, 0, Vec::new(), 0),
        PathPattern::Prefix(prefix) => (Class::Rest, prefix.len(), vec![Kind::Anything], weight),
        PathPattern::Segments(segments) => {
            let first = segments
                .segments
                .iter()
                .position(|segment| matches!(segment, Segment::Capture(_)))
                .unwrap();
            let (before, behind) = segments.segments.split_at(first);
            let head: usize = before.iter().map(|segment| 1 + text_of(segment).len()).sum();
            let mut kinds: Vec<Kind> = behind.iter().map(kind_of).collect();
            kinds.extend(segments.open_end.then_some(Kind::Anything));
            (Class::Rest, head + 1, kinds, weight)
        }
    };
    (Reverse(spec.priority), class, Reverse(head), kinds, Reverse(weight))
}

fn text_of(segment: &Segment) -> &str {
    match segment {
        Segment::Literal(text) | Segment::Capture(text) => text,
    }
}

fn kind_of(segment: &Segment) -> Kind {
    match segment {
        Segment::Literal(_) => Kind::Literal,
        Segment::Capture(_) => Kind::Capture,
    }
}

fn list_of(specs: &[RouteSpec]) -> Vec<Entry> {
    let mut list = Vec::new();
    for spec in specs {
        let every_path = spec.paths.is_empty().then(|| PathPattern::parse("/*").unwrap());
        for pattern in spec.paths.iter().cloned().chain(every_path) {
            let order = order_of(spec, &pattern);
            list.push(Entry { route: spec.id, pattern, condition: spec.condition.clone(), order });
        }
    }
    list.sort_by(|a, b| a.order.cmp(&b.order));
    list
}

type Captured = Vec<Option<String>>;

fn first_in(list: &[Entry], path: &str, request: &Request) -> Option<(RouteId, Captured)> {
    let fitting = list.iter().filter(|entry| entry.condition.holds(request));
    fitting.into_iter().find_map(|entry| Some((entry.route, captured(&entry.pattern, path)?)))
}

fn captured(pattern: &PathPattern, path: &str) -> Option<Captured> {
    match pattern {
        PathPattern::Exact(exact) => (**exact == *path).then(Vec::new),
        PathPattern::Prefix(prefix) => path.starts_with(&**prefix).then(Vec::new),
        PathPattern::Segments(segments) => segments_of(segments, path),
        PathPattern::Regex(regex) => {
            let groups = regex.groups(path)?.into_iter().take(regex.groups_len());
            Some(groups.map(|group| group.map(|range| path[range].to_owned())).collect())
        }
    }
}

fn segments_of(Segments { segments, open_end, .. }: &Segments, path: &str) -> Option<Captured> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_long_enough =
        if *open_end { parts.len() > segments.len() } else { parts.len() == segments.len() };
    let fits = |(segment, part): (&Segment, &&str)| match segment {
        Segment::Literal(text) => **text == **part,
        Segment::Capture(_) => !part.is_empty(),
    };
    let captures = |(segment, part): (&Segment, &&str)| {
        matches!(segment, Segment::Capture(_)).then(|| Some((*part).to_owned()))
    };
    let pairs = || segments.iter().zip(&parts);
    (is_long_enough && pairs().all(fits)).then(|| pairs().filter_map(captures).collect())
}

fn found_in(table: &RouteTable, path: &str, request: &Request) -> Option<(RouteId, Captured)> {
    let mut captures = Captures::default();
    let route = table.find(path, request, &mut captures)?;
    let indices = (0..).take(captures.len());
    Some((route, indices.map(|index| captures.get(path, index).map(str::to_owned)).collect()))
}

fn pattern() -> impl Strategy<Value = PathPattern> {
    let segment = || prop::sample::select(vec!["a", "b", "ab", "c", "{}", "{}"]);
    let end = prop::sample::select(vec!["", "", "/", "/*", "/*", "*"]);
    let path = (prop::collection::vec(segment(), 0..4), end).prop_filter_map(
        "no pattern",
        |(segments, end)| {
            let mut text = String::new();
            for (number, segment) in segments.iter().enumerate() {
                text.push('/');
                text.push_str(&segment.replace("{}", &format!("{{c{number}}}")));
            }
            text.push_str(end);
            PathPattern::parse(&text).ok()
        },
    );
    let regexes = ["~a", "~^/a(b)?/(.*)$", "~*B$", "~^/(?<first>[^/]+)/", "~^/c"];
    let regex =
        prop::sample::select(regexes.to_vec()).prop_map(|text| PathPattern::parse(text).unwrap());
    prop_oneof![8 => path, 1 => regex]
}

fn condition() -> impl Strategy<Value = Condition> {
    let post = || Condition::method(vec![Method::POST]);
    prop_oneof![
        3 => Just(Condition::always()),
        1 => Just(post()),
        1 => Just(Condition::all(vec![post(), post()])),
        1 => Just(post().not()),
    ]
}

fn specs() -> impl Strategy<Value = Vec<RouteSpec>> {
    let priority = prop_oneof![4 => Just(0), 1 => -1..=1];
    let spec = (prop::collection::vec(pattern(), 0..3), condition(), priority);
    prop::collection::vec(spec, 0..16).prop_map(|specs| {
        let numbered = (0..).map(RouteId).zip(specs);
        numbered
            .map(|(id, (paths, condition, priority))| RouteSpec { id, paths, condition, priority })
            .collect()
    })
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(/(a|b|ab|c|d|abc|B)){0,5}/?", 1..24)
}

fn request() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::POST])
}

/// The same path, written otherwise: some characters encoded, some slashes doubled, some segments that come to nothing.
fn respelled(path: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut other = String::new();
    for (at, character) in path.char_indices() {
        let choice = choices.next().unwrap_or(0);
        // What begins with a percent sign is an encoding already, and so are the two digits behind it.
        let is_encoding = path[..at + 1].rfind('%').is_some_and(|percent| at - percent < 3);
        match (character, choice % 6) {
            ('/', 1) => other.push_str("//"),
            ('/', 2) => other.push_str("/./"),
            ('/', 3) => other.push_str("/x/%2E./"),
            ('/', _) => other.push('/'),
            (plain, 1 | 2) if !is_encoding && plain.is_ascii() => {
                other.push_str(&format!("%{:02x}", plain as u32))
            }
            (plain, _) => other.push(plain),
        }
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_table_finds_what_a_list_finds(specs in specs(), paths in paths(), method in request()) {
        let (list, table, request) = (list_of(&specs), RouteTable::new(specs), Request(method));
        for path in &paths {
            prop_assert_eq!(found_in(&table, path, &request), first_in(&list, path, &request), "{}", path);
        }
    }

    #[test]
    fn what_is_called_unreachable_is_never_found(specs in specs(), paths in paths(), method in request()) {
        let table = RouteTable::new(specs);
        let unreachable: HashSet<RouteId> = table.unreachable().into_iter().map(|(route, _)| route).collect();
        for path in &paths {
            if let Some((route, _)) = found_in(&table, path, &Request(method.clone())) {
                prop_assert!(!unreachable.contains(&route), "{} leads to {:?}", path, route);
            }
        }
    }

    #[test]
    fn every_spelling_of_a_path_leads_to_the_same_route(
        specs in specs(), paths in paths(), choices in prop::collection::vec(any::<u8>(), 1..64)
    ) {
        let table = RouteTable::new(specs);
        let request = Request(Method::GET);
        for path in paths.iter().filter(|path| path.starts_with('/')) {
            let other = respelled(path, &choices);
            let normal = NormalPath::parse(&other, EncodedSlash::Keep).map(|path| path.as_str().to_owned());
            prop_assert_eq!(normal.as_ref(), Ok(path));
            let (here, there) = (found_in(&table, path, &request), found_in(&table, &normal.unwrap(), &request));
            prop_assert_eq!(here, there);
        }
    }

    #[test]
    fn a_path_and_its_normal_form_lead_to_the_same_route(specs in specs(), raw in raw_path()) {
        let table = RouteTable::new(specs);
        let request = Request(Method::GET);
        if let Ok(path) = NormalPath::from_bytes(&raw, EncodedSlash::Keep) {
            let again = NormalPath::parse(path.as_str(), EncodedSlash::Keep).unwrap();
            let (here, there) = (found_in(&table, path.as_str(), &request), found_in(&table, again.as_str(), &request));
            prop_assert_eq!(here, there);
        }
    }

    #[test]
    fn no_path_makes_the_search_panic(specs in specs(), path in any::<String>()) {
        found_in(&RouteTable::new(specs), &path, &Request(Method::GET));
    }
}
