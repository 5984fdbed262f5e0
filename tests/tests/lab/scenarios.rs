//! Every scenario with each device in a network namespace of its own.

use std::time::Duration;

use testkit::world::{World, lab::LabWorld};

const DEADLINE: Duration = Duration::from_secs(80);

#[track_caller]
fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    let Some(mut world) = LabWorld::or_skip(3) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended =
        runtime.block_on(async { tokio::time::timeout(DEADLINE, scenario(&mut world)).await });
    ended.expect("the test ends in time");
}

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            run(testkit::scenarios::$module::$name);
        }
    )* };
}
testkit::scenarios!(tests);
testkit::scenarios_on_demand!(tests);
testkit::scenarios_of_devices!(tests);
testkit::scenarios_of_nodes!(tests);
