//! Building Pingora's proxy with our connector.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, ProxyHttp, ProxyServiceBuilder};

use super::connector::Connector;

/// The proxy that runs `inner` and reaches HTTP/2 origins, those marked with [`super::speak`], through `connector`.
///
/// Pingora gives out a proxy with a connector of one's own only inside a service, and a service never gives up its
/// proxy; so it is moved out of one. Leaks the rest of that service, a few words.
pub fn http_proxy<P>(
    conf: &Arc<ServerConf>,
    inner: P,
    connector: Connector,
) -> HttpProxy<P, Connector>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync + 'static,
{
    let builder = ProxyServiceBuilder::new(conf, inner);
    let service =
        builder.custom(connector, Arc::new(|_, _, _| Box::pin(std::future::ready(None)))).build();
    let mut service = ManuallyDrop::new(service);
    #[expect(
        clippy::expect_used,
        reason = "a service has its proxy until it is started, and this one never is"
    )]
    let proxy = service.app_logic_mut().expect("a new service has its proxy");
    #[expect(unsafe_code, reason = "HttpProxy::new_custom is private in Pingora 0.9.1")]
    // SAFETY: `proxy` is valid, and the service it is moved out of is neither used nor dropped afterwards.
    unsafe {
        std::ptr::read(proxy)
    }
}
