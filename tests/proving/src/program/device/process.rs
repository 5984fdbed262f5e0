//! A process that is attached to the host of its device, and serves until its standard input ends.

use std::{
    fs::OpenOptions,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::json;
use softbus::{Allow, Node, ServiceOptions};

use super::{input, marks, run_locally, say};
use crate::program::Result;

pub(crate) fn run(socket: &Path) -> Result<()> {
    run_locally(serve(socket))
}

async fn serve(socket: &Path) -> Result<()> {
    let node = Node::attach(socket).await?;
    let file = OpenOptions::new().append(true).open("/dev/null")?;
    let stub = marks::stub(&Arc::new(Mutex::new(file)));
    let options = ServiceOptions::distributed(Allow::trusted());
    let samgr = node.samgr();
    samgr.register(marks::OF_A_PROCESS, &stub, options).await?;
    say(json!({ "event": "ready" }));
    let mut lines = input();
    while lines.recv().await.is_some() {}
    Ok(())
}
