//! Predicates over the variables of a request.

mod error;
mod parse;
mod quoted;
mod text;

use std::borrow::Cow;
use std::iter;

use http::Method;
use ipnet::{IpNet, Ipv4Net};
use regex::bytes::Regex;

use crate::scope::Scope;
use crate::template::Template;
use crate::variable::{Facts, Known, Variable};

pub use error::{ConditionError, ConditionErrorKind};

/// What a test of the client's network is written with.
static REMOTE_ADDR: Variable = Variable::Known(Known::RemoteAddr);
/// What a test of the method is written with.
static REQUEST_METHOD: Variable = Variable::Known(Known::RequestMethod);

/// Whether something applies to a request.
///
/// Written `$http_x == "a" && !($arg_y ~ "^z") || $remote_addr in [10.0.0.0/8, ::1]`:
///
/// | text | holds when |
/// | --- | --- |
/// | `$x` | the value is neither empty nor `0`, as in nginx's `if` |
/// | `exists $x` | there is a value, even an empty one |
/// | `$x == "a"`, `$x != "a"` | the value is exactly what the template renders to, or is not |
/// | `$x ~ "re"`, `$x !~ "re"`, `~*`, `!~*` | the regex is found in the value, or is not; with `*` in any case |
/// | `$x in ["a", b]`, `$x not in [..]` | the value is one of the templates; words need no quotes |
/// | `$remote_addr in [10.0.0.0/8]` | the client's address is in one of the networks |
/// | `a && b`, <code>a &#124;&#124; b</code>, `!a`, `(a)` | as in C; `&&` binds tighter than <code>&#124;&#124;</code> |
/// | `always`, `never` | in any case, in none |
///
/// Strings stand in double or single quotes. In a template `\` before the quote or another `\` takes away its meaning;
/// a regex is taken as it stands. Absent values compare like empty ones. Groups of a regex capture nothing here.
///
/// [`Display`](std::fmt::Display) writes that text again, with captures by number.
#[derive(Clone, Debug)]
pub struct Condition(Test);

#[derive(Clone, Debug)]
enum Test {
    /// At least two parts, or none: then it always holds.
    All(Vec<Condition>),
    /// At least two parts, or none: then it never holds.
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Exists(Variable),
    True(Variable),
    Equals(Variable, Template),
    OneOf(Variable, Vec<Template>),
    Matches(Variable, Regex),
    Client(Vec<IpNet>),
    Method(Vec<Method>),
}

impl Condition {
    /// Reads `text`, which may use the registry and what is in `scope`.
    pub fn parse(text: &str, scope: &Scope) -> Result<Self, ConditionError> {
        parse::condition(text, scope)
    }

    /// Holds for every request.
    pub fn always() -> Self {
        Self(Test::All(Vec::new()))
    }

    /// Holds for no request.
    pub fn never() -> Self {
        Self(Test::Any(Vec::new()))
    }

    /// Holds when all `parts` do, asked in their order; of no parts, always.
    pub fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part.0 {
                Test::All(inner) => flat.extend(inner),
                Test::Any(inner) if inner.is_empty() => return Self::never(),
                _ => flat.push(part),
            }
        }
        only(&mut flat).unwrap_or(Self(Test::All(flat)))
    }

    /// Holds when one of `parts` does, asked in their order; of no parts, never.
    pub fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part.0 {
                Test::Any(inner) => flat.extend(inner),
                Test::All(inner) if inner.is_empty() => return Self::always(),
                _ => flat.push(part),
            }
        }
        only(&mut flat).unwrap_or(Self(Test::Any(flat)))
    }

    /// Holds when this does not.
    #[expect(
        clippy::should_implement_trait,
        reason = "stands in chains beside `all` and `any`, without an import"
    )]
    pub fn not(self) -> Self {
        match self.0 {
            Test::Not(inner) => *inner,
            Test::All(inner) if inner.is_empty() => Self::never(),
            Test::Any(inner) if inner.is_empty() => Self::always(),
            _ => Self(Test::Not(Box::new(self))),
        }
    }

    /// Holds when the client's address is in one of `nets`. A client without address, on a Unix socket, is in none.
    ///
    /// IPv4 addresses in their IPv6 form are taken as IPv4, in networks and in requests.
    pub fn client(nets: Vec<IpNet>) -> Self {
        if nets.is_empty() {
            return Self::never();
        }
        Self(Test::Client(nets.into_iter().map(|net| canonical(net).trunc()).collect()))
    }

    /// Holds for requests with one of `methods`.
    pub fn method(methods: Vec<Method>) -> Self {
        if methods.is_empty() { Self::never() } else { Self(Test::Method(methods)) }
    }

    /// Holds when the value is exactly `text`; when absent, if `text` is empty.
    pub fn equals(variable: Variable, text: &str) -> Self {
        Self(Test::Equals(variable, Template::literal(text)))
    }

    /// Holds when there is a value, even an empty one.
    pub fn present(variable: Variable) -> Self {
        Self(Test::Exists(variable))
    }

    /// Holds when `regex` is found in the value; an absent value is searched like an empty one.
    pub fn matches(variable: Variable, regex: Regex) -> Self {
        Self(Test::Matches(variable, regex))
    }

    /// Whether it is known to hold for every request.
    pub fn is_always(&self) -> bool {
        matches!(&self.0, Test::All(parts) if parts.is_empty())
    }

    /// How many single tests it is made of: of two conditions the heavier one is the more specific.
    pub fn weight(&self) -> usize {
        match &self.0 {
            Test::All(parts) | Test::Any(parts) => parts.iter().map(Self::weight).sum(),
            Test::Not(inner) => inner.weight(),
            _ => 1,
        }
    }

    /// The variables it may ask for, in order and with repetition.
    ///
    /// Tests of the client's network and of the method count as `$remote_addr` and `$request_method`.
    pub fn variables(&self) -> Vec<&Variable> {
        match &self.0 {
            Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(Self::variables).collect(),
            Test::Not(inner) => inner.variables(),
            Test::Exists(variable) | Test::True(variable) | Test::Matches(variable, _) => {
                vec![variable]
            }
            Test::Equals(variable, template) => {
                iter::once(variable).chain(template.variables()).collect()
            }
            Test::OneOf(variable, templates) => {
                iter::once(variable).chain(templates.iter().flat_map(Template::variables)).collect()
            }
            Test::Client(_) => vec![&REMOTE_ADDR],
            Test::Method(_) => vec![&REQUEST_METHOD],
        }
    }

    /// Whether it holds for the request that `facts` describe.
    ///
    /// Asks only for what the outcome depends on, from left to right, and allocates nothing of its own.
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        match &self.0 {
            Test::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Test::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Test::Not(inner) => !inner.holds(facts),
            Test::Exists(variable) => facts.fact(variable).is_some(),
            Test::True(variable) => !matches!(&*value(facts, variable), b"" | b"0"),
            Test::Equals(variable, template) => template.renders_to(&value(facts, variable), facts),
            Test::OneOf(variable, templates) => {
                let value = value(facts, variable);
                templates.iter().any(|template| template.renders_to(&value, facts))
            }
            Test::Matches(variable, regex) => regex.is_match(&value(facts, variable)),
            Test::Client(nets) => facts.client_ip().is_some_and(|address| {
                let address = address.to_canonical();
                nets.iter().any(|net| net.contains(&address))
            }),
            Test::Method(methods) => methods.contains(facts.method()),
        }
    }
}

fn value<'f>(facts: &'f dyn Facts, variable: &Variable) -> Cow<'f, [u8]> {
    facts.fact(variable).unwrap_or_default()
}

/// The single part of `parts`, if it is single.
fn only(parts: &mut Vec<Condition>) -> Option<Condition> {
    if parts.len() == 1 { parts.pop() } else { None }
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8.
pub(crate) fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let (Some(address), Some(prefix)) =
        (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96))
    else {
        return net;
    };
    Ipv4Net::new(address, prefix).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Condition;
    use crate::sample::Sample;
    use crate::scope::Scope;
    use crate::variable::Variable;

    fn condition(text: &str) -> Condition {
        Condition::parse(text, &Scope::with_captures(["id"])).unwrap()
    }

    fn variable(name: &str) -> Variable {
        Variable::from_name(name).unwrap()
    }

    fn holds(text: &str, facts: &Sample) -> bool {
        condition(text).holds(facts)
    }

    fn networks(texts: &[&str]) -> Condition {
        Condition::client(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_bare_variable_holds_unless_absent_empty_or_zero() {
        assert!(holds("$arg_x", &Sample::new().with("arg_x", "00")));
        assert!(!holds("$arg_x", &Sample::new().with("arg_x", "0")));
        assert!(!holds("$arg_x", &Sample::new().with("arg_x", "")));
        assert!(!holds("$arg_x", &Sample::new()));
    }

    #[test]
    fn to_exist_a_value_may_be_empty() {
        let exists = Condition::present(variable("arg_x"));
        for exists in [exists, condition("exists $arg_x")] {
            assert!(exists.holds(&Sample::new().with("arg_x", "")));
            assert!(!exists.holds(&Sample::new()));
        }
    }

    #[test]
    fn equality_is_of_all_bytes() {
        let facts = Sample::new().with("arg_x", "Ab");
        assert!(holds("$arg_x == 'Ab'", &facts));
        assert!(!holds("$arg_x != 'Ab'", &facts));
        for other in ["ab", "A", "Abc", ""] {
            assert!(!holds(&format!("$arg_x == '{other}'"), &facts), "{other}");
            assert!(holds(&format!("$arg_x != '{other}'"), &facts), "{other}");
        }
    }

    #[test]
    fn an_absent_value_compares_like_an_empty_one() {
        assert!(holds("$arg_x == ''", &Sample::new()));
        assert!(holds("$arg_x ~ '^$'", &Sample::new()));
        assert!(holds("$arg_x in ['']", &Sample::new()));
        assert!(!holds("$arg_x == 'a'", &Sample::new()));
        assert!(!holds("$arg_x ~ 'a'", &Sample::new()));
    }

    #[test]
    fn two_variables_may_be_compared() {
        let text = "$http_origin == 'https://$host'";
        assert!(holds(text, &Sample::new().with("http_origin", "https://a").with("host", "a")));
        assert!(!holds(text, &Sample::new().with("http_origin", "https://a").with("host", "b")));
    }

    #[test]
    fn captures_may_be_compared() {
        assert!(holds("{id} == '7' && $1 == '7' && $id == '7'", &Sample::new().with("1", "7")));
    }

    #[test]
    fn a_built_equality_takes_its_text_literally() {
        let condition = Condition::equals(variable("arg_x"), "$host{}");
        assert!(condition.holds(&Sample::new().with("arg_x", "$host{}")));
    }

    #[test]
    fn a_regex_is_found_anywhere_unless_anchored() {
        let facts = Sample::new().with("http_user_agent", "Mozilla/5.0");
        assert!(holds(r#"$http_user_agent ~ "illa/\d""#, &facts));
        assert!(!holds(r#"$http_user_agent ~ "^illa""#, &facts));
        assert!(!holds(r#"$http_user_agent !~ "illa""#, &facts));
        assert!(holds(r#"$http_user_agent !~ "^illa""#, &facts));
    }

    #[test]
    fn a_regex_minds_case_unless_starred() {
        let facts = Sample::new().with("http_user_agent", "Googlebot");
        assert!(!holds("$http_user_agent ~ 'x|BOT'", &facts));
        assert!(holds("$http_user_agent ~* 'x|BOT'", &facts));
        assert!(holds("$http_user_agent !~ 'x|BOT'", &facts));
        assert!(!holds("$http_user_agent !~* 'x|BOT'", &facts));
    }

    #[test]
    fn a_regex_reads_bytes_that_are_not_utf8() {
        let regex = regex::bytes::Regex::new("b$").unwrap();
        let condition = Condition::matches(variable("arg_x"), regex);
        assert!(condition.holds(&Sample::new().with("arg_x", b"\xffb")));
        assert!(!condition.holds(&Sample::new().with("arg_x", b"b\xff")));
    }

    #[test]
    fn a_value_may_be_one_of_several() {
        let text = "$host in [a.example, 'b $arg_x', \"c\"]";
        let facts = |host: &str| Sample::new().with("host", host).with("arg_x", "y");
        for host in ["a.example", "b y", "c"] {
            assert!(holds(text, &facts(host)), "{host}");
        }
        assert!(!holds(text, &facts("d")));
        assert!(holds("$host not in [a, b]", &facts("d")));
        assert!(!holds("$host not in [a, b]", &facts("b")));
    }

    #[test]
    fn a_client_is_looked_for_in_networks() {
        let text = "$remote_addr in [10.0.0.0/8, ::1, '192.0.2.7']";
        for inside in ["10.255.0.1", "::1", "192.0.2.7"] {
            assert!(holds(text, &Sample::new().with_client(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "::2", "192.0.2.8"] {
            assert!(!holds(text, &Sample::new().with_client(outside)), "{outside}");
        }
    }

    #[test]
    fn a_client_without_address_is_in_no_network() {
        assert!(!networks(&["0.0.0.0/0", "::/0"]).holds(&Sample::new()));
        assert!(holds("$remote_addr not in [0.0.0.0/0]", &Sample::new()));
    }

    #[test]
    fn ipv4_in_its_ipv6_form_is_ipv4() {
        assert!(networks(&["10.0.0.0/8"]).holds(&Sample::new().with_client("::ffff:10.1.2.3")));
        assert!(networks(&["::ffff:10.0.0.0/104"]).holds(&Sample::new().with_client("10.1.2.3")));
        assert!(!networks(&["::ffff:10.0.0.0/104"]).holds(&Sample::new().with_client("11.1.2.3")));
        assert!(networks(&["::ffff:0.0.0.0/96"]).holds(&Sample::new().with_client("11.1.2.3")));
        assert!(!networks(&["::ffff:0.0.0.0/95"]).holds(&Sample::new().with_client("11.1.2.3")));
    }

    #[test]
    fn bits_behind_a_prefix_do_not_count() {
        assert!(networks(&["10.1.2.3/8"]).holds(&Sample::new().with_client("10.9.9.9")));
        assert_eq!(networks(&["10.1.2.3/8"]).to_string(), "$remote_addr in [10.0.0.0/8]");
    }

    #[test]
    fn a_method_may_be_one_of_several() {
        for condition in [
            Condition::method(vec![Method::GET, Method::HEAD]),
            condition("$request_method in [GET, 'HEAD']"),
        ] {
            assert!(condition.holds(&Sample::new().with_method(Method::HEAD)));
            assert!(!condition.holds(&Sample::new().with_method(Method::POST)));
        }
    }

    #[test]
    fn of_no_networks_and_no_methods_none_fits() {
        assert!(!Condition::client(vec![]).holds(&Sample::new().with_client("::1")));
        assert!(!Condition::method(vec![]).holds(&Sample::new()));
        assert_eq!(Condition::client(vec![]).to_string(), "never");
        assert_eq!(Condition::method(vec![]).to_string(), "never");
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let a = Sample::new().with("arg_a", "1");
        let bc = Sample::new().with("arg_b", "1").with("arg_c", "1");
        let ab = Sample::new().with("arg_a", "1").with("arg_b", "1");
        let b = Sample::new().with("arg_b", "1");
        let text = "$arg_a || $arg_b && $arg_c";
        assert!(holds(text, &a) && holds(text, &bc) && !holds(text, &b));
        let text = "($arg_a || $arg_b) && $arg_c";
        assert!(!holds(text, &a) && holds(text, &bc) && !holds(text, &ab));
    }

    #[test]
    fn an_exclamation_mark_turns_the_whole_test_round() {
        let facts = Sample::new().with("arg_a", "1");
        assert!(!holds("!$arg_a == '1'", &facts));
        assert!(!holds("!$arg_a", &facts));
        assert!(holds("!!$arg_a", &facts));
        assert!(holds("!($arg_a && $arg_b)", &facts));
        assert!(!holds("!($arg_a || $arg_b)", &facts));
    }

    #[test]
    fn only_what_decides_is_asked_for() {
        let facts = Sample::new().with("arg_a", "1");
        assert!(holds("$arg_a || $arg_b", &facts));
        assert_eq!(facts.asked(), ["arg_a"]);
        assert!(!holds("$arg_b && $arg_a", &facts));
        assert_eq!(facts.asked(), ["arg_b"]);
        assert!(!holds("$arg_a == 'x$host'", &facts));
        assert_eq!(facts.asked(), ["arg_a"]);
        assert!(holds("$arg_a in ['1', '$host']", &facts));
        assert_eq!(facts.asked(), ["arg_a"]);
    }

    #[test]
    fn always_and_never_need_no_facts() {
        let facts = Sample::new();
        assert!(Condition::always().holds(&facts) && holds("always", &facts));
        assert!(!Condition::never().holds(&facts) && !holds("never", &facts));
        assert_eq!(facts.asked(), [""; 0]);
    }

    #[test]
    fn of_no_parts_all_is_always_and_any_is_never() {
        assert!(Condition::all(vec![]).is_always());
        assert!(!Condition::any(vec![]).holds(&Sample::new()));
    }

    #[test]
    fn parts_that_decide_nothing_fall_away() {
        assert_eq!(condition("always && $host").to_string(), "$host");
        assert_eq!(condition("never || $host").to_string(), "$host");
        assert_eq!(condition("$host && never").to_string(), "never");
        assert!(condition("$host || always").is_always());
    }

    #[test]
    fn groups_within_groups_of_their_kind_become_one() {
        let all = Condition::all(vec![condition("$host && $uri"), condition("$args")]);
        assert_eq!(all.to_string(), "$host && $uri && $args");
        let any = Condition::any(vec![condition("$args"), condition("$host || $uri")]);
        assert_eq!(any.to_string(), "$args || $host || $uri");
        assert_eq!(Condition::all(vec![condition("$host || $uri")]).to_string(), "$host || $uri");
    }

    #[test]
    fn twice_not_is_as_before() {
        assert_eq!(condition("$host").not().not().to_string(), "$host");
        assert!(Condition::never().not().is_always());
        assert_eq!(Condition::always().not().to_string(), "never");
        assert_eq!(condition("$host && $uri").not().to_string(), "!($host && $uri)");
        assert_eq!(condition("$host || $uri").not().to_string(), "!($host || $uri)");
    }

    #[test]
    fn only_the_condition_without_tests_is_always() {
        assert!(Condition::always().is_always());
        assert!(!Condition::never().is_always());
        assert!(!condition("$host").is_always());
        assert!(!condition("$host && $uri").is_always());
    }

    #[test]
    fn the_weight_is_the_number_of_tests() {
        assert_eq!(Condition::always().weight(), 0);
        assert_eq!(Condition::never().weight(), 0);
        assert_eq!(condition("$host").weight(), 1);
        assert_eq!(condition("$host in [a, b, c]").weight(), 1);
        assert_eq!(condition("!($host && ($uri == 'a' || $args)) && {id} ~ 'b'").weight(), 4);
    }

    #[test]
    fn it_lists_the_variables_it_may_ask_for() {
        let text = "!($host == '$uri' || exists $arg_a) && $args in ['$1', b] && $remote_addr in [::1] \
                    && $request_method in [GET] && $scheme ~ 'a' && $status";
        let condition = condition(text);
        let names: Vec<_> = condition.variables().iter().map(|variable| variable.name()).collect();
        let expected = [
            "host",
            "uri",
            "arg_a",
            "args",
            "1",
            "remote_addr",
            "request_method",
            "scheme",
            "status",
        ];
        assert_eq!(names, expected);
        assert!(Condition::always().variables().is_empty());
    }

    #[test]
    fn it_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&Condition::always());
    }
}
