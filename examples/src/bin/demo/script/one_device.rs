//! The second act: two processes on the phone's bus.

use std::time::{Duration, Instant};

use crate::{
    order::{Done, Order, Outcome, millis, same},
    report::Reporter,
    stage::{PROCESSES, Stage, VIEWER},
};

/// Within which the end of a process is to be known.
const AIM: Duration = Duration::from_millis(10);
/// What the viewer does.
const CALLS: [(&str, Order); 5] = [
    ("local call", Order::LocalCall),
    ("shared memory", Order::SharedMemory),
    ("raw data", Order::RawData),
    ("through the host", Order::ThroughHost),
    ("second pass", Order::SecondPass),
];

pub(super) async fn run(stage: &mut Stage, reporter: &mut Reporter) {
    let began = Instant::now();
    let attached = attach(stage).await;
    reporter.step("one device", began, &attached);
    for (step, order) in CALLS {
        let began = Instant::now();
        let outcome = ask_viewer(stage, order).await;
        reporter.step(step, began, &outcome);
    }
    let began = Instant::now();
    let died = kill(stage).await;
    reporter.step("process death", began, &died);
}

async fn ask_viewer(stage: &mut Stage, order: Order) -> Outcome {
    let [_, viewer] = stage.both()?;
    viewer.ask(order).await
}

async fn attach(stage: &mut Stage) -> Outcome {
    let began = Instant::now();
    stage.attach().await?;
    let mut processes = Vec::new();
    for (actor, name) in stage.both()?.into_iter().zip(PROCESSES) {
        processes.push(format!("{name} (pid {})", actor.pid().unwrap_or_default()));
    }
    let detail = format!(
        "two more processes, attached to the bus that the phone hosts: {}",
        processes.join(", ")
    );
    Ok(Done::new(began.elapsed(), detail))
}

/// How long the viewer takes to be told that the camera is gone.
async fn kill(stage: &mut Stage) -> Outcome {
    let [camera, viewer] = stage.both()?;
    viewer.ask(Order::Watch).await?;
    // It waits for the notice already when the camera is killed.
    let kill = async {
        let killed = Instant::now();
        camera.kill().map(|()| killed)
    };
    let (told, killed) = tokio::join!(viewer.ask(Order::Told), kill);
    let (told, after) = (told?, killed?.elapsed());
    let status = camera.wait().await?;
    same("the camera's exit code, killed", &status.code(), &None)?;
    viewer.ask(Order::Leave).await?;
    let name = PROCESSES[VIEWER];
    same(
        &format!("exit code of the {name}"),
        &viewer.wait().await?.code(),
        &Some(0),
    )?;
    // What takes longer waited for a timer, however busy the machine is.
    let at_once = after < 25 * AIM;
    same("told at once", &at_once, &true)?;
    let aimed = match after < AIM {
        true => "less than the 10 ms aimed at",
        false => "more than the 10 ms aimed at: is the machine busy?",
    };
    let detail = format!(
        "the camera killed; the viewer told after {:.1} ms ({aimed}), of its service and of an object that is none: {}",
        millis(after),
        told.detail
    );
    Ok(Done::new(after, detail))
}
