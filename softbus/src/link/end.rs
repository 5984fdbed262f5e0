//! How a link ended, and what the other end is told of it.

use std::sync::{Arc, OnceLock};

use rpc::link::LinkClosed;
use tokio::sync::watch;

/// Bytes of the longest text of a close.
const MAX_TEXT: usize = 200;

/// The end of a link: the first one counts.
#[derive(Clone, Debug)]
pub(crate) struct End {
    closed: watch::Sender<Option<LinkClosed>>,
    goodbye: Arc<OnceLock<(u32, String)>>,
}

impl End {
    pub(crate) fn new() -> Self {
        Self {
            closed: watch::Sender::new(None),
            goodbye: Arc::default(),
        }
    }

    /// Ends the link from here.
    pub(crate) fn close(&self, code: u32, text: &str) {
        // Before the writer is woken, which says it.
        let _ = self
            .goodbye
            .set((code, text.chars().take(MAX_TEXT).collect()));
        self.tell(LinkClosed::ByUs);
    }

    /// What the other end is told, if we have ended it.
    pub(crate) fn goodbye(&self) -> Option<(u32, &str)> {
        let (code, text) = self.goodbye.get()?;
        Some((*code, text))
    }

    pub(crate) fn tell(&self, end: LinkClosed) {
        self.closed.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(end);
            }
            first
        });
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> LinkClosed {
        let mut closed = self.closed.subscribe();
        let closed = closed.wait_for(Option::is_some).await;
        let closed = closed.ok().and_then(|closed| closed.clone());
        closed.unwrap_or(LinkClosed::ByUs)
    }
}

/// What the peer says when it ends a link.
pub(crate) fn by_peer(code: u32, text: &[u8]) -> LinkClosed {
    LinkClosed::ByPeer {
        code,
        text: certs::escape_untrusted(&String::from_utf8_lossy(text), MAX_TEXT),
    }
}
