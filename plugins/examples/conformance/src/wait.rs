//! Actions that wait.

use std::time::Duration;

use switchback_plugin::reexport::http::Method;
use switchback_plugin::{
    HttpRequest, Operating, Operation, OperationId, StoreAction, StoreOperation,
};

use crate::speak::{outcome, word};

/// Does one of `http`, `post`, `sleep`, `store`, `body`, `blocking`, `blocking-panic`, `resolve`, `names`, `both`, `begin`, `finish`,
/// `cancel`, `lose`, `for-ever`, `sleep-panic`, and says what came of it; `None` where it is none of these.
pub(crate) async fn wait(
    facade: &mut (impl Operating + Send),
    begun: &mut Vec<OperationId>,
    words: &[&str],
) -> Option<String> {
    if let Some(operation) = operation(words) {
        return Some(match facade.operate(operation).await {
            Ok(came) => outcome(&came),
            Err(error) => format!("{error:?}"),
        });
    }
    match words {
        ["begin", rest @ ..] => {
            let began = facade.begin(operation(rest)?);
            begun.extend(began.ok());
            Some(began.map_or_else(|refused| format!("{refused:?}"), |_| "begun".to_owned()))
        }
        ["finish"] => {
            let operation = begun.pop()?;
            Some(format!("{:?}", facade.finish(operation).await))
        }
        ["cancel"] => {
            let operation = begun.pop()?;
            facade.border().cancel(operation);
            Some(format!("{:?}", facade.finish(operation).await))
        }
        ["lose", rest @ ..] => {
            drop(facade.operate(operation(rest)?));
            Some("lost".to_owned())
        }
        ["blocking", text] => {
            let text = word(text);
            Some(format!("{:?}", facade.blocking(move || text.to_uppercase()).await))
        }
        ["blocking-panic"] => {
            let work = || panic!("told to, beside the way");
            Some(format!("{:?}", facade.blocking(work).await))
        }
        ["both", first, second] => both(facade, first, second).await,
        ["for-ever"] => {
            std::future::pending::<()>().await;
            None
        }
        ["sleep-panic", time] => {
            let _ = facade.sleep(milliseconds(time)?).await;
            panic!("told to, after a while")
        }
        _ => None,
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    Some(Duration::from_millis(text.parse().ok()?))
}

fn operation(words: &[&str]) -> Option<Operation> {
    Some(match words {
        ["http", upstream, target] => {
            Operation::Http(Box::new(HttpRequest::get(word(upstream), word(target))))
        }
        ["post", upstream, target, body] => {
            let request = HttpRequest::post(word(upstream), word(target), word(body))
                .with_header("x-one", "1")
                .with_header("x-two", "a")
                .with_header("x-two", "b")
                .with_timeout(Duration::from_millis(20));
            let shard_key = Some("key".into());
            let method = Method::PATCH;
            Operation::Http(Box::new(HttpRequest { shard_key, method, body_limit: 64, ..request }))
        }
        ["sleep", time] => Operation::Sleep(milliseconds(time)?),
        ["store", name, key, action @ ..] => Operation::Store(StoreOperation {
            store: word(name),
            key: word(key).into(),
            action: store(action)?,
        }),
        ["body", limit] => Operation::Body { limit: limit.parse().ok()? },
        ["resolve", name] => Operation::Resolve(word(name)),
        ["names", address] => Operation::ResolveAddress(address.parse().ok()?),
        _ => return None,
    })
}

fn store(words: &[&str]) -> Option<StoreAction> {
    let ttl = |words: &[&str]| words.first().and_then(|time| milliseconds(time));
    Some(match words {
        ["get"] => StoreAction::Get,
        ["put", value, rest @ ..] => StoreAction::Put { value: word(value).into(), ttl: ttl(rest) },
        ["swap", expected, value, rest @ ..] => StoreAction::Swap {
            expected: (*expected != "nothing").then(|| word(expected).into()),
            value: word(value).into(),
            ttl: ttl(rest),
        },
        ["add", delta, rest @ ..] => {
            StoreAction::Add { delta: delta.parse().ok()?, ttl: ttl(rest) }
        }
        ["remove"] => StoreAction::Remove,
        _ => return None,
    })
}

/// Two at once, of which the second is waited for first.
async fn both(facade: &mut impl Operating, first: &str, second: &str) -> Option<String> {
    let first = facade.begin(Operation::Sleep(milliseconds(first)?)).ok()?;
    let second = facade.begin(Operation::Sleep(milliseconds(second)?)).ok()?;
    let (after, before) = (facade.finish(second).await, facade.now());
    let (then, now) = (facade.finish(first).await, facade.now());
    Some(format!("{after:?} {then:?} {}", now - before))
}
