//! The second act: processes of one device, the phone, which hosts their bus. A camera offers a service; a viewer uses it,
//! and does what the director tells it to.

mod camera;
mod viewer;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use softbus::{Node, ServiceId, ServiceOptions};

use crate::{
    device::{Peer, orders, tell},
    order::{Done, Failure, OrFail, Order, Report},
};
use camera::{CameraStub, Pictures};
use viewer::Viewer;

/// What the camera offers, to processes of its device alone.
const CAMERA: ServiceId = ServiceId::new(4101).expect("a service id is 1..=0xffffff");

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    name: String,
    /// Where the phone hosts the bus
    #[arg(long)]
    attach: PathBuf,
    /// The tablet, as NAME=ID
    #[arg(long)]
    peer: Peer,
}

/// Does what it is told until it is told to leave, or until nobody is there to tell it anything.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match perform(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&Report::Answer(Err(failure)));
            ExitCode::FAILURE
        }
    }
}

async fn perform(arguments: Arguments) -> Result<(), Failure> {
    let mut orders = orders();
    let node = Node::attach(&arguments.attach).await;
    let node = node.or_fail(&format!("the {} to attach", arguments.name))?;
    let is_camera = arguments.name == crate::stage::PROCESSES[crate::stage::CAMERA];
    if is_camera {
        let pictures = CameraStub::new(Pictures::default()).into();
        let samgr = node.samgr();
        let registered = samgr.register(CAMERA, &pictures, ServiceOptions::local());
        registered.await.or_fail("a service to be registered")?;
    }
    let mut viewer = Viewer::new(node.clone(), arguments.peer.id);
    tell(&Report::Attached);
    while let Some(order) = orders.recv().await {
        let order = order?;
        if order == Order::Leave {
            let began = Instant::now();
            node.shutdown().await;
            tell(&Report::Answer(Ok(Done::new(began.elapsed(), "left"))));
            return Ok(());
        }
        let outcome = viewer.perform(order).await;
        tell(&Report::Answer(outcome));
    }
    Ok(())
}
