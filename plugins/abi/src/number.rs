//! Numbers that both sides know. None is ever given another meaning.

/// The major version: another one is another interface.
pub const ABI_MAJOR: u16 = 1;
/// The minor version: a later one has more at the ends of the tables.
pub const ABI_MINOR: u16 = 0;

/// A hook: the head of a request was received, and its route found.
pub const HOOK_REQUEST: u32 = 0;
/// A hook: before the cache is looked into and an upstream is chosen.
pub const HOOK_ROUTE: u32 = 1;
/// A hook: before each try, with the endpoints that may be asked.
pub const HOOK_UPSTREAM: u32 = 2;
/// A hook: the head as it is about to be sent to the endpoint.
pub const HOOK_UPSTREAM_REQUEST: u32 = 3;
/// A hook: the head that came from the endpoint, before the cache stores it.
pub const HOOK_UPSTREAM_RESPONSE: u32 = 4;
/// A hook: the head as it is about to be sent to the client.
pub const HOOK_RESPONSE: u32 = 5;
/// A hook: a piece of the request's body.
pub const HOOK_REQUEST_BODY: u32 = 6;
/// A hook: a piece of the response's body. Nobody can wait here.
pub const HOOK_RESPONSE_BODY: u32 = 7;
/// A hook: the request has ended. Nobody can wait here, and only looking is possible.
pub const HOOK_LOG: u32 = 8;
/// A hook: the time of `every` has passed; no request is at hand.
pub const HOOK_TICK: u32 = 9;

/// What a hook returns: the request goes on.
pub const CONTINUE: i32 = 0;
/// What a hook returns: the request is answered with what was given to `answer`.
pub const ANSWER: i32 = 1;
/// What a hook returns: it waits for an operation whose `poll` said `SB_PENDING`. The same hook is called again when there is something
/// to see, or `abandon` when nobody waits any more.
pub const PAUSE: i32 = 2;
/// What a hook returns: the plugin could not do its work, for the reason given to `fail`. What becomes of the request is for the operator
/// to say.
pub const FAIL: i32 = -1;
/// What a hook returns: as `SB_FAIL`, and what is remembered of the request is of no use any more.
pub const PANICKED: i32 = -2;

/// What a function returns: done.
pub const OK: i32 = 0;
/// What `poll` returns: not yet.
pub const PENDING: i32 = 1;
/// What a function returns: there is no such thing.
pub const ABSENT: i32 = 2;
/// What a function returns: not possible in this hook.
pub const NOT_NOW: i32 = -1;
/// What a function returns: a name, value or number that is not allowed there.
pub const INVALID: i32 = -2;
/// What a function returns: nothing has that name.
pub const UNKNOWN: i32 = -3;
/// What a function returns: no room for more.
pub const FULL: i32 = -4;
/// What a function returns: whoever runs the plugin has nothing of the kind.
pub const UNSUPPORTED: i32 = -5;
/// What `poll` returns: the time was up.
pub const TIMEOUT: i32 = -10;
/// What `poll` returns: the upstream could not be reached, or broke off.
pub const FAILED: i32 = -11;
/// What `poll` returns: more bytes than were to be taken.
pub const TOO_LARGE: i32 = -12;
/// What `poll` returns: it could not be begun.
pub const REFUSED: i32 = -13;
/// What `poll` returns: it was given up.
pub const CANCELLED: i32 = -14;

/// A list of fields: headers of the request.
pub const MAP_REQUEST_HEADERS: u32 = 0;
/// A list of fields: trailers of the request.
pub const MAP_REQUEST_TRAILERS: u32 = 1;
/// A list of fields: headers of the response.
pub const MAP_RESPONSE_HEADERS: u32 = 2;
/// A list of fields: trailers of the response.
pub const MAP_RESPONSE_TRAILERS: u32 = 3;

/// For `change_field`: the value takes the place of all values of the name.
pub const CHANGE_SET: u32 = 0;
/// For `change_field`: the value is added to those of the name.
pub const CHANGE_APPEND: u32 = 1;
/// For `change_field`: all values of the name are removed.
pub const CHANGE_REMOVE: u32 = 2;

/// A fact: `GET`.
pub const FACT_METHOD: u32 = 0;
/// A fact: `http` or `https`, as the client sees it.
pub const FACT_SCHEME: u32 = 1;
/// A fact: the host that is asked for, in lower case, without the port.
pub const FACT_HOST: u32 = 2;
/// A fact: the normalised path, decoded once.
pub const FACT_PATH: u32 = 3;
/// A fact: what is behind `?`, as it was sent.
pub const FACT_QUERY: u32 = 4;
/// A fact: the path and query as they were sent.
pub const FACT_TARGET: u32 = 5;
/// A fact: `HTTP/1.1`, `HTTP/2.0`.
pub const FACT_PROTOCOL: u32 = 6;
/// A fact: the client's address, behind trusted proxies.
pub const FACT_CLIENT_ADDRESS: u32 = 7;
/// A fact: the request's id, as in logs.
pub const FACT_REQUEST_ID: u32 = 8;
/// A fact: name of the site.
pub const FACT_SITE: u32 = 9;
/// A fact: name of the route.
pub const FACT_ROUTE: u32 = 10;
/// A fact: name of the upstream.
pub const FACT_UPSTREAM: u32 = 11;
/// A fact: name of the shard.
pub const FACT_SHARD: u32 = 12;
/// A fact: address of the endpoint of the try at hand.
pub const FACT_ENDPOINT: u32 = 13;
/// A fact: number of the try at hand, in digits, from 1.
pub const FACT_ATTEMPT: u32 = 14;
/// A fact: status of the response, three digits.
pub const FACT_STATUS: u32 = 15;
/// A fact: what the cache did: `hit`, `miss`, as in the log.
pub const FACT_CACHE_STATUS: u32 = 16;
/// A fact: bytes of the body that were sent to the client, in digits.
pub const FACT_BYTES_SENT: u32 = 17;
/// A fact: nanoseconds since the request began, in digits.
pub const FACT_ELAPSED: u32 = 18;
/// A fact: `1` when the connection broke before all of the response was sent.
pub const FACT_ABORTED: u32 = 19;
/// A fact: the name by which the plugin is configured.
pub const FACT_PLUGIN: u32 = 20;

/// A part of the target: the method.
pub const PART_METHOD: u32 = 0;
/// A part of the target: the host.
pub const PART_HOST: u32 = 1;
/// A part of the target: the path, encoded as in a request line.
pub const PART_PATH: u32 = 2;
/// A part of the target: the query without `?`; empty removes it.
pub const PART_QUERY: u32 = 3;

/// A decision: routes are looked for in the site named by `text`.
pub const STEER_SITE: u32 = 0;
/// A decision: the upstream named by `text` answers.
pub const STEER_UPSTREAM: u32 = 1;
/// A decision: the shard is found by the key `text`.
pub const STEER_SHARD_KEY: u32 = 2;
/// A decision: the cache key gets `text` as one part more.
pub const STEER_CACHE_KEY: u32 = 3;
/// A decision: neither looked for in the cache, nor stored.
pub const STEER_BYPASS_CACHE: u32 = 4;
/// A decision: connecting may take `number` nanoseconds.
pub const STEER_CONNECT_TIMEOUT: u32 = 5;
/// A decision: the endpoint may say nothing for `number` nanoseconds.
pub const STEER_READ_TIMEOUT: u32 = 6;
/// A decision: sending to the endpoint may stand still for `number` nanoseconds.
pub const STEER_SEND_TIMEOUT: u32 = 7;
/// A decision: `number` endpoints may be asked in all.
pub const STEER_TRIES: u32 = 8;
/// A decision: a copy of the request goes to the upstream named by `text`.
pub const STEER_MIRROR: u32 = 9;
/// A decision: a body that is copied may have `number` bytes; nothing is copied of a request with more.
pub const STEER_MIRROR_BODY: u32 = 10;

/// A line of the log: what only developers want to see.
pub const LEVEL_TRACE: u32 = 0;
/// A line of the log: what helps to find a mistake.
pub const LEVEL_DEBUG: u32 = 1;
/// A line of the log: what an operator may want to know.
pub const LEVEL_INFO: u32 = 2;
/// A line of the log: what somebody should look at.
pub const LEVEL_WARN: u32 = 3;
/// A line of the log: what keeps the plugin from its work.
pub const LEVEL_ERROR: u32 = 4;

/// For `begin`: an `sb_http_operation`.
pub const OPERATION_HTTP: u32 = 0;
/// For `begin`: an `sb_sleep_operation`.
pub const OPERATION_SLEEP: u32 = 1;
/// For `begin`: an `sb_store_operation`.
pub const OPERATION_STORE: u32 = 2;
/// For `begin`: an `sb_body_operation`.
pub const OPERATION_BODY: u32 = 3;
/// For `begin`: an `sb_blocking_operation`.
pub const OPERATION_BLOCKING: u32 = 4;
/// For `begin`: an `sb_resolve_operation` with a name; gives addresses.
pub const OPERATION_RESOLVE: u32 = 5;
/// For `begin`: an `sb_resolve_operation` with an address; gives names.
pub const OPERATION_RESOLVE_ADDRESS: u32 = 6;

/// With a key of a store: gives its value.
pub const STORE_GET: u32 = 0;
/// With a key of a store: puts `value` there.
pub const STORE_PUT: u32 = 1;
/// With a key of a store: puts `value` there if what is there is `expected`.
pub const STORE_SWAP: u32 = 2;
/// With a key of a store: adds `delta` to a number in digits.
pub const STORE_ADD: u32 = 3;
/// With a key of a store: forgets it.
pub const STORE_REMOVE: u32 = 4;

/// What came of an operation: there is nothing to give.
pub const OUTCOME_DONE: u32 = 0;
/// What came of an operation: a response, in `status`, `headers` and `value`.
pub const OUTCOME_HTTP: u32 = 1;
/// What came of an operation: `value`.
pub const OUTCOME_VALUE: u32 = 2;
/// What came of an operation: `swapped`, and what is there now in `value`.
pub const OUTCOME_SWAPPED: u32 = 3;
/// What came of an operation: addresses as text, in `texts`.
pub const OUTCOME_ADDRESSES: u32 = 4;
/// What came of an operation: names, in `texts`.
pub const OUTCOME_NAMES: u32 = 5;

/// A metric that only grows.
pub const METRIC_COUNTER: u32 = 0;
/// A metric that goes up and down.
pub const METRIC_GAUGE: u32 = 1;
/// A metric of how often which sizes were seen.
pub const METRIC_HISTOGRAM: u32 = 2;

/// For `has`: an upstream of the configuration.
pub const NAME_UPSTREAM: u32 = 0;
/// For `has`: a variable, without `$`.
pub const NAME_VARIABLE: u32 = 1;

/// For `about`: the folder of the configuration file; relative paths of options are meant from there.
pub const ABOUT_FOLDER: u32 = 0;
/// For `about`: the name by which the plugin is configured.
pub const ABOUT_INSTANCE_NAME: u32 = 1;

/// For `set_time`: how often `SB_HOOK_TICK` is called; not below 10 ms.
pub const TIME_EVERY: u32 = 0;
/// For `set_time`: how long one hook may take with all it awaits, where the operator says nothing.
pub const TIME_TIMEOUT: u32 = 1;
