//! Actions that never wait.

use std::time::{Duration, Instant};

use switchback_plugin::{Exchange, Fact, Level, Map, Part, Steer};

use crate::Metrics;
use crate::speak::{done, found, word};

/// Does one of `get`, `all`, `set`, `append`, `remove`, `fact`, `facts`, `variable`, `set-variable`, `part`, `status`, `steer`, `endpoints`,
/// `prefer`, `piece`, `set-piece`, `hold`, `inform`, `now`, `log`, `count`, `spin`, and says what came of it; `None` where it is none of
/// these.
pub(crate) fn act(
    exchange: &mut dyn Exchange,
    metrics: &Metrics,
    words: &[&str],
) -> Option<String> {
    look(exchange, words)
        .or_else(|| change(exchange, words))
        .or_else(|| send(exchange, words))
        .or_else(|| count(metrics, words))
}

fn map(number: &str) -> Option<Map> {
    Map::from_number(number.parse().ok()?)
}

fn look(exchange: &dyn Exchange, words: &[&str]) -> Option<String> {
    Some(match words {
        ["get", list, name] => found(exchange.field(map(list)?, (*name).into())),
        ["all", list] => {
            let mut all = String::new();
            exchange.fields(map(list)?, &mut |name, value| {
                all.push_str(&format!("{name}={}|", value.escape_ascii()));
            });
            all
        }
        ["all-panic", list] => {
            exchange.fields(map(list)?, &mut |_, _| panic_of_a_visitor());
            "nobody was visited".to_owned()
        }
        ["fact", number] => found(exchange.fact(Fact::from_number(number.parse().ok()?)?)),
        ["facts"] => {
            let facts = (0..=20).filter_map(Fact::from_number);
            facts.map(|fact| format!("{fact:?}={} ", found(exchange.fact(fact)))).collect()
        }
        ["variable", name] => found(exchange.variable(name)),
        ["endpoints"] => {
            let count = exchange.endpoint_count();
            let each = (0..=count).map(|index| format!("{:?} ", exchange.endpoint(index)));
            format!("{count}: {}", each.collect::<String>())
        }
        ["piece"] => {
            format!("`{}` {}", exchange.piece().escape_ascii(), exchange.is_last_piece())
        }
        ["now"] => exchange.now().to_string(),
        ["log", level, text] => {
            exchange.log(Level::from_number(level.parse().ok()?)?, &word(text));
            "logged".to_owned()
        }
        _ => return None,
    })
}

fn panic_of_a_visitor() {
    panic!("told to, while visiting");
}

fn change(exchange: &mut dyn Exchange, words: &[&str]) -> Option<String> {
    Some(done(match words {
        ["set", list, name, value] => {
            exchange.set_field(map(list)?, word(name).as_str().into(), word(value).as_bytes())
        }
        ["append", list, name, value] => {
            exchange.append_field(map(list)?, word(name).as_str().into(), word(value).as_bytes())
        }
        ["remove", list, name] => exchange.remove_field(map(list)?, word(name).as_str().into()),
        ["set-variable", name, value] => exchange.set_variable(&word(name), word(value).as_bytes()),
        ["part", number, value] => {
            exchange.set_part(Part::from_number(number.parse().ok()?)?, &word(value))
        }
        ["status", status] => exchange.set_status(status.parse().ok()?),
        ["steer", kind, rest @ ..] => exchange.steer(steer(kind, &word(rest.first()?))?),
        ["prefer", order] => {
            let order: Vec<usize> =
                order.split(',').filter_map(|index| index.parse().ok()).collect();
            exchange.prefer(&order)
        }
        _ => return None,
    }))
}

fn steer<'a>(kind: &str, value: &'a str) -> Option<Steer<'a>> {
    let time = || Some(Duration::from_millis(value.parse().ok()?));
    Some(match kind {
        "site" => Steer::Site(value),
        "upstream" => Steer::Upstream(value),
        "shard-key" => Steer::ShardKey(value.as_bytes()),
        "cache-key" => Steer::CacheKey(value.as_bytes()),
        "bypass-cache" => Steer::BypassCache,
        "connect-timeout" => Steer::ConnectTimeout(time()?),
        "read-timeout" => Steer::ReadTimeout(time()?),
        "send-timeout" => Steer::SendTimeout(time()?),
        "tries" => Steer::Tries(value.parse().ok()?),
        "mirror" => Steer::Mirror(value),
        "mirror-body" => Steer::MirrorBody(value.parse().ok()?),
        _ => return None,
    })
}

fn send(exchange: &mut dyn Exchange, words: &[&str]) -> Option<String> {
    Some(done(match words {
        ["set-piece", piece] => exchange.set_piece(word(piece).into_bytes().into()),
        ["hold"] => exchange.hold_piece(),
        ["inform", status, name, value] => {
            let value = word(value);
            exchange.inform(status.parse().ok()?, &[(name, value.as_bytes()), ("x-more", b"")])
        }
        _ => return None,
    }))
}

fn count(metrics: &Metrics, words: &[&str]) -> Option<String> {
    match words {
        ["count"] => {
            metrics.counter.add(2);
            metrics.gauge.set(7.5);
            metrics.gauge.add(-1.0);
            metrics.histogram.observe(0.25);
            Some("counted".to_owned())
        }
        ["spin", time] => {
            spin(Duration::from_millis(time.parse().ok()?));
            Some("spun".to_owned())
        }
        _ => None,
    }
}

/// Computes for as long, whatever the host's clock says. Wasm has no other: it does something else instead of this.
fn spin(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}
