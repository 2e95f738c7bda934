//! Both lists of cases, ours beside nginx and Varnish, and the public list by its own program.

use switchback_integration::{
    Cache, CaseVerdict, Count, Kind, List, Played, Show, cache_tests, case_faults, play_cases,
};

const OWED: [Kind; 4] = [Kind::Must, Kind::MustNot, Kind::Should, Kind::ShouldNot];

/// Every MUST and SHOULD, and the public list restated. Little time makes no difference: it takes seconds.
pub(crate) fn lists(show: &mut Show, _quick: bool) {
    let faults = case_faults();
    show.line("faults of the lists themselves", &faults.len().to_string(), "0", faults.is_empty());
    faults.iter().for_each(|fault| show.say(&format!("  {fault}")));
    documents(show);
    let ours = play_cases(&Cache::Switchback, List::Public);
    let required = Count::of(&ours, &[Kind::Required]);
    let optimal = Count::of(&ours, &[Kind::Optimal]);
    let holds = required.cases == 160 && required.passed == 160;
    show.line("required cases of the public list, restated", &told(required), "160", holds);
    let leads = optimal.cases == 105 && optimal.grounded > 73;
    show.line("optimal cases", &told(optimal), "more than 73 of 105", leads);
    show.say(&format!("  checked without judging: {}", told(Count::of(&ours, &[Kind::Check]))));
    failures(show, &ours, &[Kind::Required, Kind::Optimal]);
    for peer in [Cache::Nginx, Cache::Varnish] {
        let theirs = play_cases(&peer, List::Public);
        let of = |kind| told(Count::of(&theirs, &[kind]));
        let (required, optimal) = (of(Kind::Required), of(Kind::Optimal));
        show.say(&format!("  {peer:?} in the same run: required {required}, optimal {optimal}"));
    }
}

/// The public list by its own program.
pub(crate) fn public_suite(show: &mut Show, _quick: bool) {
    let what = "required cases of the public list itself";
    let Some(found) = cache_tests() else {
        let figure = "not shown: CACHE_TESTS names no folder with the package http-cache-tests";
        return show.line(what, figure, "all, where it is there", true);
    };
    let all = found.required.passed == found.required.cases && found.required.cases > 0;
    show.line(what, &told(found.required), "all", all);
    show.line("optimal cases", &told(found.optimal), "more than 73", found.optimal.grounded > 73);
    show.say(&format!("  checked without judging: {}", told(found.check)));
    found.failures.iter().for_each(|failure| show.say(&format!("  {failure}")));
}

fn documents(show: &mut Show) {
    let played = play_cases(&Cache::Switchback, List::Documents);
    let owed = Count::of(&played, &OWED);
    let elsewhere =
        played.iter().filter(|case| matches!(case.verdict, CaseVerdict::Elsewhere(_))).count();
    show.line(
        "cases of every MUST and SHOULD of RFC 9111, 9110, 5861, 9211, 9213, 9875 and 10008",
        &format!("{} of {}, {elsewhere} of them by a unit test", owed.passed, owed.cases),
        "all",
        owed.passed == owed.cases && owed.cases > 0,
    );
    let may = Count::of(&played, &[Kind::May]);
    let holds = may.passed == may.cases;
    show.line("  what they allow and we promise", &told(may), "all", holds);
    failures(show, &played, &[OWED.as_slice(), &[Kind::May]].concat());
}

fn failures(show: &Show, played: &[Played], kinds: &[Kind]) {
    let bad = played.iter().filter(|case| kinds.contains(&case.kind) && !case.verdict.is_good());
    bad.for_each(|case| show.say(&format!("  {}", case.line())));
}

fn told(count: Count) -> String {
    let Count { cases, passed, grounded } = count;
    if passed == grounded {
        return format!("{passed} of {cases}");
    }
    format!("{passed} of {cases}, {grounded} with all that they build upon")
}
