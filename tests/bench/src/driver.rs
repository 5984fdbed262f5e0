//! The one driver of all contestants: runs in the client's process, starts the server's, and says what it measured.

mod cell;
mod connections;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Runtime, task::LocalSet, time::timeout};

use crate::{
    contestant::{Contestant, End, Visit},
    identities,
    process::{Server, Spec},
    workload::Shape,
};
use cell::Cell;

/// What a cell measured, by metric.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures(pub(crate) BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, metric: &str, value: f64) {
        self.0.insert(metric.to_owned(), value);
    }
}

/// How long a connection and its first call may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Serves until the client is gone.
pub(crate) struct Serve<'a>(pub(crate) &'a Spec);

impl Visit for Serve<'_> {
    type Output = Result<()>;

    fn visit<C: Contestant + 'static>(self, contestant: C) -> Result<()> {
        let runtime = self.0.runtime(1)?;
        block_on(&runtime, contestant.serve(self.0))
    }
}

/// Runs one workload against a server of its own.
pub(crate) struct Drive<'a>(pub(crate) &'a Spec);

impl Visit for Drive<'_> {
    type Output = Result<Figures>;

    fn visit<C: Contestant + 'static>(self, contestant: C) -> Result<Figures> {
        let identities = identities::make(&self.0.directory, self.0.workload.clients())?;
        let mut server = Server::start(self.0)?;
        let address = server.address.clone();
        let end = |nth| End {
            spec: self.0,
            address: &address,
            identities: &identities,
            nth,
        };
        let runtime = self.0.runtime(0)?;
        let figures = block_on(&runtime, async {
            match self.0.workload.shape() {
                Shape::Connect { count } => connections::one_by_one(&contestant, end, count).await,
                Shape::Idle { count } => {
                    connections::idle(&contestant, end, count, &mut server).await
                }
                shape => {
                    let end = end(0);
                    let client = timeout(CONNECT, contestant.connect(&end)).await;
                    let client = client.context("not connected in time")??;
                    Cell::new(self.0, &mut server).measure(client, shape).await
                }
            }
        });
        // What is left on the runtime may wait for what no longer comes.
        runtime.shutdown_background();
        figures
    }
}

/// capnp needs a place for tasks that stay on their thread.
fn block_on<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    LocalSet::new().block_on(runtime, work)
}
