//! What a client is told while it waits for its answer: 1xx responses (RFC 9110, 15.2), of the origin that is asked on its behalf,
//! and of our own.

use std::pin::pin;

use http::{StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::sync::mpsc;

use super::lookup::Wanted;

/// The head of a 1xx.
pub(crate) type Interim = Box<ResponseHeader>;

/// What is to be told one client before its answer.
pub(crate) type Told = mpsc::Receiver<Interim>;

/// Where it is told from.
#[derive(Clone, Debug)]
pub(super) struct Ahead(mpsc::Sender<Interim>);

/// How many 1xx responses one request may get; further ones are dropped.
pub(super) const MOST: usize = 32;

/// A client that waits for its answer.
pub(crate) trait Waiter: Send {
    /// Tells it something. One that does not take it is noticed when its answer is sent.
    fn tell(&mut self, interim: Interim) -> impl Future<Output = ()> + Send;

    /// Waits until it is seen to be gone, which may be never.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

impl Wanted {
    /// What the client is to be told from now on, the links that are known first. Nothing, if it knows nothing of 1xx.
    pub(crate) fn told(&mut self, request: &RequestHeader) -> Told {
        let (sender, told) = mpsc::channel(MOST);
        if request.version > Version::HTTP_10 {
            let ahead = Ahead(sender);
            if let Some(hints) = self.early_hints(request) {
                ahead.tell(hints);
            }
            self.ahead = Some(ahead);
        }
        told
    }
}

impl Ahead {
    /// Has the client told, unless it is gone, or has not taken what it was told before.
    pub(super) fn tell(&self, interim: Interim) {
        let (Ok(()) | Err(_)) = self.0.try_send(interim);
    }

    /// The same with what an origin says. What it says of its own connection ends here; what changes protocols is no answer to a
    /// request of ours.
    pub(super) fn pass_on(&self, interim: &ResponseHeader) {
        if interim.status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut interim = interim.clone();
        crate::http::reply::of_its_own_hop(&mut interim);
        for framing in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            interim.remove_header(&framing);
        }
        self.tell(Box::new(interim));
    }
}

/// Waits, and tells the client meanwhile what there is to tell; `None` if that is gone before the end.
pub(crate) async fn attend<T>(
    waiting: impl Future<Output = T> + Send,
    mut told: Told,
    client: &mut impl Waiter,
) -> Option<T> {
    let mut waiting = pin!(waiting);
    let done = loop {
        tokio::select! {
            biased;
            Some(interim) = told.recv() => client.tell(interim).await,
            done = &mut waiting => break done,
            () = client.gone() => return None,
        }
    };
    // What precedes its answer is there by now.
    while let Ok(interim) = told.try_recv() {
        client.tell(interim).await;
    }
    Some(done)
}
