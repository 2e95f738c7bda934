//! What is looked for, and what takes its place.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;
use switchback_plugin::{BuildError, Request, Setup};

use super::RuleOptions;
use crate::replacement::{Groups, Replacement, Whole};

/// All rules, ready to be looked for.
pub(super) struct Rules {
    /// Those that hold for all of the body as one, and each that holds once for itself.
    pub(super) groups: Vec<Group>,
    replacements: Vec<Replacement>,
    pub(super) bounds: Bounds,
}

/// Rules that are looked for together.
pub(super) struct Group {
    pub(super) regex: Regex,
    /// Places in the list of rules, of each pattern.
    pub(super) rules: Vec<usize>,
    /// Whether it has ended when something was found.
    pub(super) once: bool,
}

/// How much must be seen before it is known what is at a place.
pub(super) struct Bounds {
    /// Bytes of the longest that may be found, and of what it wants to see behind itself.
    pub(super) reach: usize,
    /// Bytes before a place that decide what is found there.
    pub(super) context: usize,
    /// Where all is looked for as it is written: what may be held back is only what begins like one of these.
    pub(super) literals: Option<Vec<Literal>>,
}

/// Something that is looked for as it is written.
pub(super) struct Literal {
    text: Vec<u8>,
    ignores_case: bool,
}

/// The longest that may be found: what is held back of each body that passes.
const LONGEST: usize = 64 << 10;

/// A character, for what looks at its neighbours: `\b`.
const NEIGHBOUR: usize = 4;

struct Pattern {
    hir: Hir,
    groups: Names,
    literal: Option<Literal>,
}

/// The groups of a regular expression.
struct Names(Vec<Option<String>>);

impl Groups for Names {
    fn named(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|group| group.as_deref() == Some(name))
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

impl Rules {
    pub(super) fn new(options: &[RuleOptions], setup: &Setup<'_>) -> Result<Self, BuildError> {
        if options.is_empty() {
            return Err(BuildError::new("rules", "nothing is replaced"));
        }
        let mut patterns = Vec::with_capacity(options.len());
        let mut replacements = Vec::with_capacity(options.len());
        for (index, rule) in options.iter().enumerate() {
            let path = format!("rules[{index}]");
            let pattern = Pattern::new(&path, rule)?;
            let groups: &dyn Groups =
                if pattern.literal.is_some() { &Whole } else { &pattern.groups };
            let place = format!("{path}.replace");
            replacements.push(Replacement::new(&place, &rule.replace, groups, setup)?);
            patterns.push(pattern);
        }
        let places = |once: bool| {
            let rules = options.iter().enumerate().filter(move |(_, rule)| rule.once == once);
            rules.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let all = Some(places(false)).filter(|places| !places.is_empty());
        let all = all.into_iter().map(|places| Group::new(places, false, &patterns));
        let once = places(true).into_iter();
        let once = once.map(|index| Group::new(vec![index], true, &patterns));
        Ok(Self {
            groups: all.chain(once).collect::<Result<_, _>>()?,
            bounds: Bounds::new(patterns),
            replacements,
        })
    }

    /// What takes the place of what is found in this response, where that is not the same for all.
    pub(super) fn bound(&self, request: &Request<'_>) -> Option<Vec<Replacement>> {
        let same = self.replacements.iter().all(Replacement::is_bound);
        (!same).then(|| self.replacements.iter().map(|text| text.bound(request)).collect())
    }

    pub(super) fn replacements(&self) -> &[Replacement] {
        &self.replacements
    }
}

impl Group {
    fn new(rules: Vec<usize>, once: bool, patterns: &[Pattern]) -> Result<Self, BuildError> {
        let hirs: Vec<&Hir> =
            rules.iter().filter_map(|index| Some(&patterns.get(*index)?.hir)).collect();
        let config = Regex::config().utf8_empty(false);
        let regex = Regex::builder().configure(config).build_many_from_hir(&hirs);
        let regex = regex.map_err(|error| BuildError::new("rules", error.to_string()))?;
        Ok(Self { regex, rules, once })
    }
}

impl Bounds {
    fn new(patterns: Vec<Pattern>) -> Self {
        let looks = patterns.iter().any(|pattern| !pattern.hir.properties().look_set().is_empty());
        let context = if looks { NEIGHBOUR } else { 0 };
        let longest = patterns.iter().filter_map(|pattern| pattern.hir.properties().maximum_len());
        let reach = longest.max().unwrap_or(1) + context;
        let literals = patterns.into_iter().map(|pattern| pattern.literal).collect();
        Self { reach, context, literals }
    }
}

impl Pattern {
    fn new(path: &str, options: &RuleOptions) -> Result<Self, BuildError> {
        let (key, text) = match (&options.find, &options.regex) {
            (Some(text), None) => ("find", text.clone()),
            (None, Some(text)) => ("regex", text.clone()),
            _ => {
                return Err(BuildError::new(path, "a rule has exactly one of `find` and `regex`"));
            }
        };
        let place = format!("{path}.{key}");
        let said = |message: String| BuildError::new(place.clone(), message);
        if text.is_empty() {
            return Err(said("nothing is looked for".into()));
        }
        if key == "find" {
            return Self::literal(text, options.ignore_case).map_err(said);
        }
        if options.ignore_case {
            let help = "write (?i) at the beginning of the regular expression";
            return Err(BuildError::new(format!("{path}.ignore_case"), "goes with `find` only")
                .with_help(help));
        }
        Self::regex(&text).map_err(said)
    }

    fn literal(text: String, ignores_case: bool) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
        let mode = if ignores_case { "i-u" } else { "" };
        let escaped = regex::escape(&text);
        // Bytes beyond ASCII are not letters there: each stands for itself.
        let pattern = if ignores_case {
            let bytes = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
            format!("(?{mode}:{bytes})")
        } else {
            escaped
        };
        let literal = Literal { text: text.into_bytes(), ignores_case };
        Ok(Self { literal: Some(literal), ..Self::parse(&pattern)? })
    }

    fn regex(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        let properties = pattern.hir.properties();
        if properties.minimum_len() == Some(0) {
            return Err("finds nothing at all, too: what is replaced has a byte or more".into());
        }
        match properties.maximum_len() {
            Some(longest) if longest <= LONGEST => Ok(pattern),
            Some(longest) => Err(format!("finds up to {longest} bytes: at most {LONGEST}")),
            None => {
                Err("what it finds has no end: write {1,100} instead of +, {0,100} instead of *"
                    .into())
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config = syntax::Config::new().utf8(false);
        let hir = syntax::parse_with(text, &config).map_err(|error| error.to_string())?;
        let mut names = vec![None];
        collect_groups(&hir, &mut names);
        Ok(Self { hir, groups: Names(names), literal: None })
    }
}

/// Groups are numbered as they open.
fn collect_groups(hir: &Hir, names: &mut Vec<Option<String>>) {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Capture(group) => {
            let index = group.index as usize;
            if names.len() <= index {
                names.resize(index + 1, None);
            }
            if let Some(name) = names.get_mut(index) {
                *name = group.name.as_deref().map(str::to_owned);
            }
            collect_groups(&group.sub, names);
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_groups(part, names));
        }
        HirKind::Repetition(repeated) => collect_groups(&repeated.sub, names),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

impl Literal {
    /// Whether `beginning` is how it begins, and not all of it.
    pub(super) fn begins_with(&self, beginning: &[u8]) -> bool {
        let Some(own) = self.text.get(..beginning.len()) else { return false };
        let same =
            if self.ignores_case { own.eq_ignore_ascii_case(beginning) } else { own == beginning };
        same && beginning.len() < self.text.len()
    }
}
