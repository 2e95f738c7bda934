/*
 * The C interface between Switchback and native plugin modules.
 *
 * This file is generated from plugins/abi/src; do not change it by hand.
 *
 * A module is a shared library that exports switchback_plugin_v1. What holds everywhere:
 *  - Bytes and fields that are given to a function are valid for the call, and are copied by whoever wants to keep them. Bytes that the
 *    host hands out are valid until the hook returns or the plugin calls a function that changes something, whichever comes first.
 *  - Each side frees what it has allocated itself.
 *  - No exception passes a function of these tables.
 *  - An exchange is of use during the call of the hook that it is given to, on one thread at a time.
 *  - Structs that begin with a size grow at their ends in later minor versions: set it to sizeof, and what you do not know stays zero.
 *  - A module is never unloaded.
 */
#ifndef SWITCHBACK_H
#define SWITCHBACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SB_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define SB_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#if defined(__GNUC__)
#define SB_EXPORT __attribute__((visibility("default")))
#else
#define SB_EXPORT
#endif

/* Bytes of a literal, to begin a value with: sb_bytes name = SB_TEXT("x"); */
#define SB_TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* The major version: another one is another interface. */
#define SB_ABI_MAJOR 1u

/* The minor version: a later one has more at the ends of the tables. */
#define SB_ABI_MINOR 0u

/* A hook: the head of a request was received, and its route found. */
#define SB_HOOK_REQUEST 0u

/* A hook: before the cache is looked into and an upstream is chosen. */
#define SB_HOOK_ROUTE 1u

/* A hook: before each try, with the endpoints that may be asked. */
#define SB_HOOK_UPSTREAM 2u

/* A hook: the head as it is about to be sent to the endpoint. */
#define SB_HOOK_UPSTREAM_REQUEST 3u

/* A hook: the head that came from the endpoint, before the cache stores it. */
#define SB_HOOK_UPSTREAM_RESPONSE 4u

/* A hook: the head as it is about to be sent to the client. */
#define SB_HOOK_RESPONSE 5u

/* A hook: a piece of the request's body. */
#define SB_HOOK_REQUEST_BODY 6u

/* A hook: a piece of the response's body. Nobody can wait here. */
#define SB_HOOK_RESPONSE_BODY 7u

/* A hook: the request has ended. Nobody can wait here, and only looking is possible. */
#define SB_HOOK_LOG 8u

/* A hook: the time of `every` has passed; no request is at hand. */
#define SB_HOOK_TICK 9u

/* What a hook returns: the request goes on. */
#define SB_CONTINUE 0

/* What a hook returns: the request is answered with what was given to `answer`. */
#define SB_ANSWER 1

/* What a hook returns: it waits for an operation whose `poll` said `SB_PENDING`. The same hook is called again when there is something
   to see, or `abandon` when nobody waits any more. */
#define SB_PAUSE 2

/* What a hook returns: the plugin could not do its work, for the reason given to `fail`. What becomes of the request is for the operator
   to say. */
#define SB_FAIL (-1)

/* What a hook returns: as `SB_FAIL`, and what is remembered of the request is of no use any more. */
#define SB_PANICKED (-2)

/* What a function returns: done. */
#define SB_OK 0

/* What `poll` returns: not yet. */
#define SB_PENDING 1

/* What a function returns: there is no such thing. */
#define SB_ABSENT 2

/* What a function returns: not possible in this hook. */
#define SB_NOT_NOW (-1)

/* What a function returns: a name, value or number that is not allowed there. */
#define SB_INVALID (-2)

/* What a function returns: nothing has that name. */
#define SB_UNKNOWN (-3)

/* What a function returns: no room for more. */
#define SB_FULL (-4)

/* What a function returns: whoever runs the plugin has nothing of the kind. */
#define SB_UNSUPPORTED (-5)

/* What `poll` returns: the time was up. */
#define SB_TIMEOUT (-10)

/* What `poll` returns: the upstream could not be reached, or broke off. */
#define SB_FAILED (-11)

/* What `poll` returns: more bytes than were to be taken. */
#define SB_TOO_LARGE (-12)

/* What `poll` returns: it could not be begun. */
#define SB_REFUSED (-13)

/* What `poll` returns: it was given up. */
#define SB_CANCELLED (-14)

/* A list of fields: headers of the request. */
#define SB_MAP_REQUEST_HEADERS 0u

/* A list of fields: trailers of the request. */
#define SB_MAP_REQUEST_TRAILERS 1u

/* A list of fields: headers of the response. */
#define SB_MAP_RESPONSE_HEADERS 2u

/* A list of fields: trailers of the response. */
#define SB_MAP_RESPONSE_TRAILERS 3u

/* For `change_field`: the value takes the place of all values of the name. */
#define SB_CHANGE_SET 0u

/* For `change_field`: the value is added to those of the name. */
#define SB_CHANGE_APPEND 1u

/* For `change_field`: all values of the name are removed. */
#define SB_CHANGE_REMOVE 2u

/* A fact: `GET`. */
#define SB_FACT_METHOD 0u

/* A fact: `http` or `https`, as the client sees it. */
#define SB_FACT_SCHEME 1u

/* A fact: the host that is asked for, in lower case, without the port. */
#define SB_FACT_HOST 2u

/* A fact: the normalised path, decoded once. */
#define SB_FACT_PATH 3u

/* A fact: what is behind `?`, as it was sent. */
#define SB_FACT_QUERY 4u

/* A fact: the path and query as they were sent. */
#define SB_FACT_TARGET 5u

/* A fact: `HTTP/1.1`, `HTTP/2.0`. */
#define SB_FACT_PROTOCOL 6u

/* A fact: the client's address, behind trusted proxies. */
#define SB_FACT_CLIENT_ADDRESS 7u

/* A fact: the request's id, as in logs. */
#define SB_FACT_REQUEST_ID 8u

/* A fact: name of the site. */
#define SB_FACT_SITE 9u

/* A fact: name of the route. */
#define SB_FACT_ROUTE 10u

/* A fact: name of the upstream. */
#define SB_FACT_UPSTREAM 11u

/* A fact: name of the shard. */
#define SB_FACT_SHARD 12u

/* A fact: address of the endpoint of the try at hand. */
#define SB_FACT_ENDPOINT 13u

/* A fact: number of the try at hand, in digits, from 1. */
#define SB_FACT_ATTEMPT 14u

/* A fact: status of the response, three digits. */
#define SB_FACT_STATUS 15u

/* A fact: what the cache did: `hit`, `miss`, as in the log. */
#define SB_FACT_CACHE_STATUS 16u

/* A fact: bytes of the body that were sent to the client, in digits. */
#define SB_FACT_BYTES_SENT 17u

/* A fact: nanoseconds since the request began, in digits. */
#define SB_FACT_ELAPSED 18u

/* A fact: `1` when the connection broke before all of the response was sent. */
#define SB_FACT_ABORTED 19u

/* A fact: the name by which the plugin is configured. */
#define SB_FACT_PLUGIN 20u

/* A part of the target: the method. */
#define SB_PART_METHOD 0u

/* A part of the target: the host. */
#define SB_PART_HOST 1u

/* A part of the target: the path, encoded as in a request line. */
#define SB_PART_PATH 2u

/* A part of the target: the query without `?`; empty removes it. */
#define SB_PART_QUERY 3u

/* A decision: routes are looked for in the site named by `text`. */
#define SB_STEER_SITE 0u

/* A decision: the upstream named by `text` answers. */
#define SB_STEER_UPSTREAM 1u

/* A decision: the shard is found by the key `text`. */
#define SB_STEER_SHARD_KEY 2u

/* A decision: the cache key gets `text` as one part more. */
#define SB_STEER_CACHE_KEY 3u

/* A decision: neither looked for in the cache, nor stored. */
#define SB_STEER_BYPASS_CACHE 4u

/* A decision: connecting may take `number` nanoseconds. */
#define SB_STEER_CONNECT_TIMEOUT 5u

/* A decision: the endpoint may say nothing for `number` nanoseconds. */
#define SB_STEER_READ_TIMEOUT 6u

/* A decision: sending to the endpoint may stand still for `number` nanoseconds. */
#define SB_STEER_SEND_TIMEOUT 7u

/* A decision: `number` endpoints may be asked in all. */
#define SB_STEER_TRIES 8u

/* A decision: a copy of the request goes to the upstream named by `text`. */
#define SB_STEER_MIRROR 9u

/* A decision: a body that is copied may have `number` bytes; nothing is copied of a request with more. */
#define SB_STEER_MIRROR_BODY 10u

/* A line of the log: what only developers want to see. */
#define SB_LEVEL_TRACE 0u

/* A line of the log: what helps to find a mistake. */
#define SB_LEVEL_DEBUG 1u

/* A line of the log: what an operator may want to know. */
#define SB_LEVEL_INFO 2u

/* A line of the log: what somebody should look at. */
#define SB_LEVEL_WARN 3u

/* A line of the log: what keeps the plugin from its work. */
#define SB_LEVEL_ERROR 4u

/* For `begin`: an `sb_http_operation`. */
#define SB_OPERATION_HTTP 0u

/* For `begin`: an `sb_sleep_operation`. */
#define SB_OPERATION_SLEEP 1u

/* For `begin`: an `sb_store_operation`. */
#define SB_OPERATION_STORE 2u

/* For `begin`: an `sb_body_operation`. */
#define SB_OPERATION_BODY 3u

/* For `begin`: an `sb_blocking_operation`. */
#define SB_OPERATION_BLOCKING 4u

/* For `begin`: an `sb_resolve_operation` with a name; gives addresses. */
#define SB_OPERATION_RESOLVE 5u

/* For `begin`: an `sb_resolve_operation` with an address; gives names. */
#define SB_OPERATION_RESOLVE_ADDRESS 6u

/* With a key of a store: gives its value. */
#define SB_STORE_GET 0u

/* With a key of a store: puts `value` there. */
#define SB_STORE_PUT 1u

/* With a key of a store: puts `value` there if what is there is `expected`. */
#define SB_STORE_SWAP 2u

/* With a key of a store: adds `delta` to a number in digits. */
#define SB_STORE_ADD 3u

/* With a key of a store: forgets it. */
#define SB_STORE_REMOVE 4u

/* What came of an operation: there is nothing to give. */
#define SB_OUTCOME_DONE 0u

/* What came of an operation: a response, in `status`, `headers` and `value`. */
#define SB_OUTCOME_HTTP 1u

/* What came of an operation: `value`. */
#define SB_OUTCOME_VALUE 2u

/* What came of an operation: `swapped`, and what is there now in `value`. */
#define SB_OUTCOME_SWAPPED 3u

/* What came of an operation: addresses as text, in `texts`. */
#define SB_OUTCOME_ADDRESSES 4u

/* What came of an operation: names, in `texts`. */
#define SB_OUTCOME_NAMES 5u

/* A metric that only grows. */
#define SB_METRIC_COUNTER 0u

/* A metric that goes up and down. */
#define SB_METRIC_GAUGE 1u

/* A metric of how often which sizes were seen. */
#define SB_METRIC_HISTOGRAM 2u

/* For `has`: an upstream of the configuration. */
#define SB_NAME_UPSTREAM 0u

/* For `has`: a variable, without `$`. */
#define SB_NAME_VARIABLE 1u

/* For `about`: the folder of the configuration file; relative paths of options are meant from there. */
#define SB_ABOUT_FOLDER 0u

/* For `about`: the name by which the plugin is configured. */
#define SB_ABOUT_INSTANCE_NAME 1u

/* For `set_time`: how often `SB_HOOK_TICK` is called; not below 10 ms. */
#define SB_TIME_EVERY 0u

/* For `set_time`: how long one hook may take with all it awaits, where the operator says nothing. */
#define SB_TIME_TIMEOUT 1u

typedef struct sb_exchange sb_exchange;
typedef struct sb_setup sb_setup;
typedef struct sb_meter sb_meter;
typedef struct sb_bytes sb_bytes;
typedef struct sb_field sb_field;
typedef struct sb_endpoint sb_endpoint;
typedef struct sb_steer sb_steer;
typedef struct sb_metric sb_metric;
typedef struct sb_http_operation sb_http_operation;
typedef struct sb_sleep_operation sb_sleep_operation;
typedef struct sb_store_operation sb_store_operation;
typedef struct sb_body_operation sb_body_operation;
typedef struct sb_blocking_operation sb_blocking_operation;
typedef struct sb_resolve_operation sb_resolve_operation;
typedef struct sb_outcome sb_outcome;
typedef struct sb_host sb_host;
typedef struct sb_plugin sb_plugin;

/* One request while a hook runs. Of use only during the call that it is given to. */
struct sb_exchange;

/* What a plugin finds when it is made. Of use only during the call of `instance_new`. */
struct sb_setup;

/* One metric. Of use on any thread, until it is given back to `meter_free`. */
struct sb_meter;

/* Bytes that somebody else owns. `data` is null where there is nothing, which is something else than no bytes. */
struct sb_bytes {
    /* The first one; null where there is nothing. */
    const uint8_t *data;
    /* How many. */
    size_t length;
};

/* One field, or any other pair of a name and a value. */
struct sb_field {
    /* Its name: in lower case when it comes from the host, in any case when it is given to it. */
    sb_bytes name;
    /* Its value. */
    sb_bytes value;
};

/* An endpoint that may be asked. */
struct sb_endpoint {
    /* Size of this struct, set by whoever wants to have it filled. */
    uint32_t size;
    /* Its share, as it is configured. */
    uint32_t weight;
    /* Requests that it has in hand. */
    uint32_t in_flight;
    /* 1 where the balancer would ask it, otherwise 0. */
    uint32_t ready;
    /* Its latency in nanoseconds; 0 while unknown. */
    uint64_t latency;
    /* `10.0.0.1:8080` or `unix:/run/app.sock` */
    sb_bytes address;
};

/* One decision about where a request goes. */
struct sb_steer {
    /* Size of this struct. */
    uint32_t size;
    /* Which decision: `SB_STEER_..` */
    uint32_t kind;
    /* The name or key, where the decision has one. */
    sb_bytes text;
    /* The number, where the decision has one. */
    uint64_t number;
};

/* A metric to be defined. It is shown as `switchback_plugin_NAME` with a label `plugin`, and `labels`. */
struct sb_metric {
    /* Size of this struct. */
    uint32_t size;
    /* What it counts: `SB_METRIC_..` */
    uint32_t kind;
    /* Its name. */
    sb_bytes name;
    /* What it means. */
    sb_bytes help;
    /* Labels. */
    const sb_field *labels;
    /* How many labels. */
    size_t label_count;
};

/* Is called with each field of a list. */
typedef void (*sb_visit)(void *data, sb_bytes name, sb_bytes value);

/* A request of the plugin's own, to a configured upstream. */
struct sb_http_operation {
    /* Size of this struct. */
    uint32_t size;
    /* 0 */
    uint32_t reserved;
    /* Name of the upstream. */
    sb_bytes upstream;
    /* `GET` if there is none. */
    sb_bytes method;
    /* Path and query, encoded as in a request line. */
    sb_bytes target;
    /* Headers; `Content-Length` is the proxy's to say. */
    const sb_field *headers;
    /* How many headers. */
    size_t header_count;
    /* The body. */
    sb_bytes body;
    /* Nanoseconds that all of it may take; 0: as long as the plugin may. */
    uint64_t timeout;
    /* How many bytes of the response's body are taken: more is an error. */
    uint64_t body_limit;
    /* What finds the shard, where the upstream has shards. */
    sb_bytes shard_key;
};

/* To wait. */
struct sb_sleep_operation {
    /* Size of this struct. */
    uint32_t size;
    /* 0 */
    uint32_t reserved;
    /* How long. */
    uint64_t nanoseconds;
};

/* To read or change what plugins keep. */
struct sb_store_operation {
    /* Size of this struct. */
    uint32_t size;
    /* What to do: `SB_STORE_..` */
    uint32_t action;
    /* Name of the store. */
    sb_bytes store;
    /* The key. */
    sb_bytes key;
    /* For `SB_STORE_PUT` and `SB_STORE_SWAP`. */
    sb_bytes value;
    /* For `SB_STORE_SWAP`; absent: nothing must be there. */
    sb_bytes expected;
    /* For `SB_STORE_ADD`. */
    int64_t delta;
    /* Nanoseconds until it is forgotten; 0: as long as there is room. */
    uint64_t ttl;
};

/* All of the request's body. It is sent on as if nobody had read it. */
struct sb_body_operation {
    /* Size of this struct. */
    uint32_t size;
    /* 0 */
    uint32_t reserved;
    /* How many bytes at most. */
    uint64_t limit;
};

/* Work that takes long, done by a thread beside the way. `run` is called once, or `discard` if nobody will; both may be called on any
   thread, also after the request has ended. */
struct sb_blocking_operation {
    /* Size of this struct. */
    uint32_t size;
    /* 0 */
    uint32_t reserved;
    /* The work. */
    void (*run)(void *work);
    /* Frees what the work needs, where it is not done; may be null. */
    void (*discard)(void *work);
    /* What both are called with. */
    void *work;
};

/* The addresses of a name, or the names of an address. */
struct sb_resolve_operation {
    /* Size of this struct. */
    uint32_t size;
    /* 0 */
    uint32_t reserved;
    /* The name, or the address as text. */
    sb_bytes name;
};

/* What came of an operation. Valid as other bytes of the host are. */
struct sb_outcome {
    /* Size of this struct, set by whoever wants to have it filled. */
    uint32_t size;
    /* What there is: `SB_OUTCOME_..` */
    uint32_t kind;
    /* Status of a response. */
    uint32_t status;
    /* 1 where a value was put there, otherwise 0. */
    uint32_t swapped;
    /* The value, or the body of a response. */
    sb_bytes value;
    /* Headers of a response. */
    const sb_field *headers;
    /* How many headers. */
    size_t header_count;
    /* Addresses or names. */
    const sb_bytes *texts;
    /* How many of them. */
    size_t text_count;
};

/* The functions of the host. A module keeps the pointer that it was given: it is valid as long as the program runs.
   
   Functions return `SB_OK`, or a negative number that says why nothing was done. What makes no sense in the hook at hand is `SB_ABSENT`
   or `SB_NOT_NOW`. */
struct sb_host {
    /* Size of this struct: larger in later versions. */
    uint32_t size;
    /* `SB_ABI_MAJOR` of the host. */
    uint16_t abi_major;
    /* `SB_ABI_MINOR` of the host. */
    uint16_t abi_minor;
    /* The first value of a field (in any case), or `SB_ABSENT`. */
    int32_t (*field)(sb_exchange *exchange, uint32_t map, sb_bytes name, sb_bytes *value);
    /* Calls `visit` with all fields, in order. It must not call the host. */
    int32_t (*fields)(sb_exchange *exchange, uint32_t map, sb_visit visit, void *data);
    /* Sets, appends or removes a field: `SB_CHANGE_..` */
    int32_t (*change_field)(sb_exchange *exchange, uint32_t map, uint32_t change, sb_bytes name, sb_bytes value);
    /* What is known beside the fields (`SB_FACT_..`), or `SB_ABSENT`. */
    int32_t (*fact)(sb_exchange *exchange, uint32_t fact, sb_bytes *value);
    /* A variable, without `$`, or `SB_ABSENT`. */
    int32_t (*variable)(sb_exchange *exchange, sb_bytes name, sb_bytes *value);
    /* Sets a variable of the request, for later plugins, templates and logs. */
    int32_t (*set_variable)(sb_exchange *exchange, sb_bytes name, sb_bytes value);
    /* Changes a part of the target: `SB_PART_..` */
    int32_t (*set_part)(sb_exchange *exchange, uint32_t part, sb_bytes value);
    /* Changes the status of the response. */
    int32_t (*set_status)(sb_exchange *exchange, uint32_t status);
    /* Decides where the request goes. */
    int32_t (*steer)(sb_exchange *exchange, const sb_steer *steer);
    /* How many endpoints may be asked, in `SB_HOOK_UPSTREAM`. */
    size_t (*endpoint_count)(sb_exchange *exchange);
    /* One of them, or `SB_ABSENT`. */
    int32_t (*endpoint)(sb_exchange *exchange, size_t index, sb_endpoint *endpoint);
    /* Whom to ask, by index, in that order. */
    int32_t (*prefer)(sb_exchange *exchange, const size_t *order, size_t count);
    /* The piece of the body at hand, and whether it is the last one (1) or not (0). */
    int32_t (*piece)(sb_exchange *exchange, sb_bytes *piece, uint32_t *is_last);
    /* Sends `piece` instead of it. */
    int32_t (*set_piece)(sb_exchange *exchange, sb_bytes piece);
    /* Has the piece at hand wait for the next one. */
    int32_t (*hold_piece)(sb_exchange *exchange);
    /* Sends an interim response at once. */
    int32_t (*inform)(sb_exchange *exchange, uint32_t status, const sb_field *fields, size_t count);
    /* Begins an operation: `kind` is `SB_OPERATION_..`, `operation` points to the struct of that kind. */
    int32_t (*begin)(sb_exchange *exchange, uint32_t kind, const void *operation, uint32_t *id);
    /* What came of an operation, once; `SB_PENDING` while there is nothing to see. */
    int32_t (*poll)(sb_exchange *exchange, uint32_t id, sb_outcome *outcome);
    /* Ends an operation that nobody waits for any more. */
    void (*cancel)(sb_exchange *exchange, uint32_t id);
    /* Nanoseconds since 1970. */
    uint64_t (*now)(sb_exchange *exchange);
    /* Writes a line to the error log: `SB_LEVEL_..` */
    void (*log)(sb_exchange *exchange, uint32_t level, sb_bytes message);
    /* What the request is answered with when the hook returns `SB_ANSWER`; the last call counts. `status` is 200 to 599. */
    int32_t (*answer)(sb_exchange *exchange, uint32_t status, const sb_field *fields, size_t count, sb_bytes body);
    /* Why the hook returns `SB_FAIL` or `SB_PANICKED`: for the error log, never for the client. */
    void (*fail)(sb_exchange *exchange, sb_bytes message);
    /* Defines a metric. The same once more is the same metric. */
    int32_t (*define_metric)(sb_setup *setup, const sb_metric *metric, const sb_meter **meter);
    /* Adds to a counter or a gauge; notes one value of a histogram. */
    void (*meter_add)(const sb_meter *meter, double value);
    /* Sets a gauge. */
    void (*meter_set)(const sb_meter *meter, double value);
    /* Gives a metric back. What it has counted stays. */
    void (*meter_free)(const sb_meter *meter);
    /* Sets a time of the plugin: `SB_TIME_..` */
    int32_t (*set_time)(sb_setup *setup, uint32_t which, uint64_t nanoseconds);
    /* Whether the configuration has something of that name (`SB_NAME_..`): `SB_OK` or `SB_ABSENT`. */
    int32_t (*has)(sb_setup *setup, uint32_t kind, sb_bytes name);
    /* What is known about the configuration (`SB_ABOUT_..`), or `SB_ABSENT`. */
    int32_t (*about)(sb_setup *setup, uint32_t which, sb_bytes *value);
    /* Writes a line to the error log, or to whoever checks a configuration. */
    void (*setup_log)(sb_setup *setup, uint32_t level, sb_bytes message);
    /* Why `instance_new` returns null: where in the options (as in `rules[1].rate`, may be absent), what is wrong, and what to do (may be
       absent). */
    void (*refuse)(sb_setup *setup, sb_bytes path, sb_bytes message, sb_bytes help);
};

/* One plugin of a module. It stays where it is, and as it is, as long as the program runs. */
struct sb_plugin {
    /* Size of this struct, as the module knows it. */
    uint32_t size;
    /* `SB_ABI_MAJOR` that the module was built with. */
    uint16_t abi_major;
    /* `SB_ABI_MINOR` that the module was built with. */
    uint16_t abi_minor;
    /* A bit for each hook that is to be called: `1 << SB_HOOK_..` */
    uint64_t hooks;
    /* A bit for each of them that never returns `SB_PAUSE`. */
    uint64_t immediate;
    /* The name by which configurations use it: lower case, words joined by `-`. */
    sb_bytes name;
    /* Its version, for people. */
    sb_bytes version;
    /* The JSON Schema of its options; absent where it tells none. */
    sb_bytes schema;
    /* Makes an instance of `options`, a JSON object. Null where it cannot, after `refuse` was told why. */
    void *(*instance_new)(const sb_host *host, sb_setup *setup, sb_bytes options);
    /* Frees an instance. All that belongs to its requests was freed before. */
    void (*instance_free)(void *instance);
    /* Makes what is remembered of one request, from its first hook to its last. Null pointers here and in `request_free` where nothing is. */
    void *(*request_new)(void *instance);
    /* Frees it, also while a hook waits. The exchange is gone already. */
    void (*request_free)(void *request);
    /* Calls one hook (`SB_HOOK_..`): returns `SB_CONTINUE`, `SB_ANSWER`, `SB_PAUSE`, `SB_FAIL` or `SB_PANICKED`. Many requests are in the
       same instance at once, on many threads; one request on one thread at a time. */
    int32_t (*hook)(void *instance, void *request, sb_exchange *exchange, uint32_t hook);
    /* Nobody waits any more for the hook that returned `SB_PAUSE`: it is forgotten, and its operations are cancelled. Other hooks of the
       request may follow. May be null. */
    void (*abandon)(void *instance, void *request, sb_exchange *exchange);
};

/* The one function that a module exports, as `switchback_plugin_v1`: the plugin of that number, from 0; null behind the last one. */
SB_EXPORT const sb_plugin *switchback_plugin_v1(uint32_t index);

#if UINTPTR_MAX == UINT64_MAX
SB_ASSERT(sizeof(sb_bytes) == 16, "size of sb_bytes");
SB_ASSERT(offsetof(sb_bytes, data) == 0, "sb_bytes.data");
SB_ASSERT(offsetof(sb_bytes, length) == 8, "sb_bytes.length");
SB_ASSERT(sizeof(sb_field) == 32, "size of sb_field");
SB_ASSERT(offsetof(sb_field, name) == 0, "sb_field.name");
SB_ASSERT(offsetof(sb_field, value) == 16, "sb_field.value");
SB_ASSERT(sizeof(sb_endpoint) == 40, "size of sb_endpoint");
SB_ASSERT(offsetof(sb_endpoint, size) == 0, "sb_endpoint.size");
SB_ASSERT(offsetof(sb_endpoint, weight) == 4, "sb_endpoint.weight");
SB_ASSERT(offsetof(sb_endpoint, in_flight) == 8, "sb_endpoint.in_flight");
SB_ASSERT(offsetof(sb_endpoint, ready) == 12, "sb_endpoint.ready");
SB_ASSERT(offsetof(sb_endpoint, latency) == 16, "sb_endpoint.latency");
SB_ASSERT(offsetof(sb_endpoint, address) == 24, "sb_endpoint.address");
SB_ASSERT(sizeof(sb_steer) == 32, "size of sb_steer");
SB_ASSERT(offsetof(sb_steer, size) == 0, "sb_steer.size");
SB_ASSERT(offsetof(sb_steer, kind) == 4, "sb_steer.kind");
SB_ASSERT(offsetof(sb_steer, text) == 8, "sb_steer.text");
SB_ASSERT(offsetof(sb_steer, number) == 24, "sb_steer.number");
SB_ASSERT(sizeof(sb_metric) == 56, "size of sb_metric");
SB_ASSERT(offsetof(sb_metric, size) == 0, "sb_metric.size");
SB_ASSERT(offsetof(sb_metric, kind) == 4, "sb_metric.kind");
SB_ASSERT(offsetof(sb_metric, name) == 8, "sb_metric.name");
SB_ASSERT(offsetof(sb_metric, help) == 24, "sb_metric.help");
SB_ASSERT(offsetof(sb_metric, labels) == 40, "sb_metric.labels");
SB_ASSERT(offsetof(sb_metric, label_count) == 48, "sb_metric.label_count");
SB_ASSERT(sizeof(sb_http_operation) == 120, "size of sb_http_operation");
SB_ASSERT(offsetof(sb_http_operation, size) == 0, "sb_http_operation.size");
SB_ASSERT(offsetof(sb_http_operation, reserved) == 4, "sb_http_operation.reserved");
SB_ASSERT(offsetof(sb_http_operation, upstream) == 8, "sb_http_operation.upstream");
SB_ASSERT(offsetof(sb_http_operation, method) == 24, "sb_http_operation.method");
SB_ASSERT(offsetof(sb_http_operation, target) == 40, "sb_http_operation.target");
SB_ASSERT(offsetof(sb_http_operation, headers) == 56, "sb_http_operation.headers");
SB_ASSERT(offsetof(sb_http_operation, header_count) == 64, "sb_http_operation.header_count");
SB_ASSERT(offsetof(sb_http_operation, body) == 72, "sb_http_operation.body");
SB_ASSERT(offsetof(sb_http_operation, timeout) == 88, "sb_http_operation.timeout");
SB_ASSERT(offsetof(sb_http_operation, body_limit) == 96, "sb_http_operation.body_limit");
SB_ASSERT(offsetof(sb_http_operation, shard_key) == 104, "sb_http_operation.shard_key");
SB_ASSERT(sizeof(sb_sleep_operation) == 16, "size of sb_sleep_operation");
SB_ASSERT(offsetof(sb_sleep_operation, size) == 0, "sb_sleep_operation.size");
SB_ASSERT(offsetof(sb_sleep_operation, reserved) == 4, "sb_sleep_operation.reserved");
SB_ASSERT(offsetof(sb_sleep_operation, nanoseconds) == 8, "sb_sleep_operation.nanoseconds");
SB_ASSERT(sizeof(sb_store_operation) == 88, "size of sb_store_operation");
SB_ASSERT(offsetof(sb_store_operation, size) == 0, "sb_store_operation.size");
SB_ASSERT(offsetof(sb_store_operation, action) == 4, "sb_store_operation.action");
SB_ASSERT(offsetof(sb_store_operation, store) == 8, "sb_store_operation.store");
SB_ASSERT(offsetof(sb_store_operation, key) == 24, "sb_store_operation.key");
SB_ASSERT(offsetof(sb_store_operation, value) == 40, "sb_store_operation.value");
SB_ASSERT(offsetof(sb_store_operation, expected) == 56, "sb_store_operation.expected");
SB_ASSERT(offsetof(sb_store_operation, delta) == 72, "sb_store_operation.delta");
SB_ASSERT(offsetof(sb_store_operation, ttl) == 80, "sb_store_operation.ttl");
SB_ASSERT(sizeof(sb_body_operation) == 16, "size of sb_body_operation");
SB_ASSERT(offsetof(sb_body_operation, size) == 0, "sb_body_operation.size");
SB_ASSERT(offsetof(sb_body_operation, reserved) == 4, "sb_body_operation.reserved");
SB_ASSERT(offsetof(sb_body_operation, limit) == 8, "sb_body_operation.limit");
SB_ASSERT(sizeof(sb_blocking_operation) == 32, "size of sb_blocking_operation");
SB_ASSERT(offsetof(sb_blocking_operation, size) == 0, "sb_blocking_operation.size");
SB_ASSERT(offsetof(sb_blocking_operation, reserved) == 4, "sb_blocking_operation.reserved");
SB_ASSERT(offsetof(sb_blocking_operation, run) == 8, "sb_blocking_operation.run");
SB_ASSERT(offsetof(sb_blocking_operation, discard) == 16, "sb_blocking_operation.discard");
SB_ASSERT(offsetof(sb_blocking_operation, work) == 24, "sb_blocking_operation.work");
SB_ASSERT(sizeof(sb_resolve_operation) == 24, "size of sb_resolve_operation");
SB_ASSERT(offsetof(sb_resolve_operation, size) == 0, "sb_resolve_operation.size");
SB_ASSERT(offsetof(sb_resolve_operation, reserved) == 4, "sb_resolve_operation.reserved");
SB_ASSERT(offsetof(sb_resolve_operation, name) == 8, "sb_resolve_operation.name");
SB_ASSERT(sizeof(sb_outcome) == 64, "size of sb_outcome");
SB_ASSERT(offsetof(sb_outcome, size) == 0, "sb_outcome.size");
SB_ASSERT(offsetof(sb_outcome, kind) == 4, "sb_outcome.kind");
SB_ASSERT(offsetof(sb_outcome, status) == 8, "sb_outcome.status");
SB_ASSERT(offsetof(sb_outcome, swapped) == 12, "sb_outcome.swapped");
SB_ASSERT(offsetof(sb_outcome, value) == 16, "sb_outcome.value");
SB_ASSERT(offsetof(sb_outcome, headers) == 32, "sb_outcome.headers");
SB_ASSERT(offsetof(sb_outcome, header_count) == 40, "sb_outcome.header_count");
SB_ASSERT(offsetof(sb_outcome, texts) == 48, "sb_outcome.texts");
SB_ASSERT(offsetof(sb_outcome, text_count) == 56, "sb_outcome.text_count");
SB_ASSERT(sizeof(sb_host) == 264, "size of sb_host");
SB_ASSERT(offsetof(sb_host, size) == 0, "sb_host.size");
SB_ASSERT(offsetof(sb_host, abi_major) == 4, "sb_host.abi_major");
SB_ASSERT(offsetof(sb_host, abi_minor) == 6, "sb_host.abi_minor");
SB_ASSERT(offsetof(sb_host, field) == 8, "sb_host.field");
SB_ASSERT(offsetof(sb_host, fields) == 16, "sb_host.fields");
SB_ASSERT(offsetof(sb_host, change_field) == 24, "sb_host.change_field");
SB_ASSERT(offsetof(sb_host, fact) == 32, "sb_host.fact");
SB_ASSERT(offsetof(sb_host, variable) == 40, "sb_host.variable");
SB_ASSERT(offsetof(sb_host, set_variable) == 48, "sb_host.set_variable");
SB_ASSERT(offsetof(sb_host, set_part) == 56, "sb_host.set_part");
SB_ASSERT(offsetof(sb_host, set_status) == 64, "sb_host.set_status");
SB_ASSERT(offsetof(sb_host, steer) == 72, "sb_host.steer");
SB_ASSERT(offsetof(sb_host, endpoint_count) == 80, "sb_host.endpoint_count");
SB_ASSERT(offsetof(sb_host, endpoint) == 88, "sb_host.endpoint");
SB_ASSERT(offsetof(sb_host, prefer) == 96, "sb_host.prefer");
SB_ASSERT(offsetof(sb_host, piece) == 104, "sb_host.piece");
SB_ASSERT(offsetof(sb_host, set_piece) == 112, "sb_host.set_piece");
SB_ASSERT(offsetof(sb_host, hold_piece) == 120, "sb_host.hold_piece");
SB_ASSERT(offsetof(sb_host, inform) == 128, "sb_host.inform");
SB_ASSERT(offsetof(sb_host, begin) == 136, "sb_host.begin");
SB_ASSERT(offsetof(sb_host, poll) == 144, "sb_host.poll");
SB_ASSERT(offsetof(sb_host, cancel) == 152, "sb_host.cancel");
SB_ASSERT(offsetof(sb_host, now) == 160, "sb_host.now");
SB_ASSERT(offsetof(sb_host, log) == 168, "sb_host.log");
SB_ASSERT(offsetof(sb_host, answer) == 176, "sb_host.answer");
SB_ASSERT(offsetof(sb_host, fail) == 184, "sb_host.fail");
SB_ASSERT(offsetof(sb_host, define_metric) == 192, "sb_host.define_metric");
SB_ASSERT(offsetof(sb_host, meter_add) == 200, "sb_host.meter_add");
SB_ASSERT(offsetof(sb_host, meter_set) == 208, "sb_host.meter_set");
SB_ASSERT(offsetof(sb_host, meter_free) == 216, "sb_host.meter_free");
SB_ASSERT(offsetof(sb_host, set_time) == 224, "sb_host.set_time");
SB_ASSERT(offsetof(sb_host, has) == 232, "sb_host.has");
SB_ASSERT(offsetof(sb_host, about) == 240, "sb_host.about");
SB_ASSERT(offsetof(sb_host, setup_log) == 248, "sb_host.setup_log");
SB_ASSERT(offsetof(sb_host, refuse) == 256, "sb_host.refuse");
SB_ASSERT(sizeof(sb_plugin) == 120, "size of sb_plugin");
SB_ASSERT(offsetof(sb_plugin, size) == 0, "sb_plugin.size");
SB_ASSERT(offsetof(sb_plugin, abi_major) == 4, "sb_plugin.abi_major");
SB_ASSERT(offsetof(sb_plugin, abi_minor) == 6, "sb_plugin.abi_minor");
SB_ASSERT(offsetof(sb_plugin, hooks) == 8, "sb_plugin.hooks");
SB_ASSERT(offsetof(sb_plugin, immediate) == 16, "sb_plugin.immediate");
SB_ASSERT(offsetof(sb_plugin, name) == 24, "sb_plugin.name");
SB_ASSERT(offsetof(sb_plugin, version) == 40, "sb_plugin.version");
SB_ASSERT(offsetof(sb_plugin, schema) == 56, "sb_plugin.schema");
SB_ASSERT(offsetof(sb_plugin, instance_new) == 72, "sb_plugin.instance_new");
SB_ASSERT(offsetof(sb_plugin, instance_free) == 80, "sb_plugin.instance_free");
SB_ASSERT(offsetof(sb_plugin, request_new) == 88, "sb_plugin.request_new");
SB_ASSERT(offsetof(sb_plugin, request_free) == 96, "sb_plugin.request_free");
SB_ASSERT(offsetof(sb_plugin, hook) == 104, "sb_plugin.hook");
SB_ASSERT(offsetof(sb_plugin, abandon) == 112, "sb_plugin.abandon");
#endif

#ifdef __cplusplus
}
#endif

#endif
