//! A node on a thread of its own.

use std::thread;

use tokio::{runtime, sync::oneshot};

use super::{Node, NodeBuilder};
use crate::error::StartNodeError;

/// Starts the node on a new thread, whose runtime runs until the node has stopped.
pub(super) async fn start(builder: NodeBuilder) -> Result<Node, StartNodeError> {
    let (started, result) = oneshot::channel();
    let spawned = thread::Builder::new()
        .name("softbus".into())
        .spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else {
                let _ = started.send(Err(StartNodeError::NoRuntime));
                return;
            };
            runtime.block_on(async {
                let node = Box::pin(builder.start()).await;
                let stop = node.as_ref().ok().map(|node| node.inner.stop.subscribe());
                // The caller has gone away: the node goes with what it was sent in.
                let _ = started.send(node);
                if let Some(mut stop) = stop {
                    let _ = stop.wait_for(|stopped| *stopped).await;
                }
            });
        });
    if spawned.is_err() {
        return Err(StartNodeError::NoRuntime);
    }
    result.await.unwrap_or(Err(StartNodeError::NoRuntime))
}
