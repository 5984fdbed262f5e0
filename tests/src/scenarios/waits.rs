//! How long a call waits, and what stops when it does not wait any more.

use std::time::Duration;

use softbus::{CallOption, Parcel, SendRequestError};
use tokio::time::Instant;

use super::{
    pair, reached, settled, usage_of,
    workbench::{call, call_within, code, delegation, reverse, workbench},
};
use crate::world::World;

/// Short enough to wait for, long enough to be told from nothing.
const A_MOMENT: Duration = Duration::from_millis(300);
/// What a wait may take longer, where others use the processor too. The callee's clock may be a little ahead.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Row 55: eight seconds, and one more for each MiB of raw data. Where time costs nothing.
pub async fn the_default_wait_is_eight_seconds(world: &mut dyn World) {
    assert!(world.time_is_virtual());
    let pair = pair(world).await;
    let mut large = Parcel::new();
    large.write_raw_data(vec![0; 2 << 20]).unwrap();
    for (data, after) in [(Parcel::new(), 8), (large, 10)] {
        let (begun, after) = (Instant::now(), Duration::from_secs(after));
        let late = call(&pair.proxy, code::HOLD, &data).await;
        assert_eq!(late.unwrap_err(), SendRequestError::TimedOut { after });
        let took = begun.elapsed();
        assert!(took >= after && took < after + A_MOMENT, "{took:?}");
    }
}

/// Row 56: nothing or less is 8 s, more than 3,000 s is 3,000 s. Where time costs nothing.
pub async fn waits_have_bounds(world: &mut dyn World) {
    assert!(world.time_is_virtual());
    let pair = pair(world).await;
    for (asked, after) in [
        (0, 8),
        (-1, 8),
        (i32::MIN, 8),
        (1, 1),
        (3000, 3000),
        (3001, 3000),
    ] {
        let (begun, after) = (Instant::now(), Duration::from_secs(after));
        let option = CallOption::from_flags(0, asked);
        assert_eq!(option.wait_time(), Some(after));
        let nothing = Parcel::new();
        let late = pair.proxy.send_request(code::HOLD, &nothing, option).await;
        assert_eq!(late.unwrap_err(), SendRequestError::TimedOut { after });
        assert!(begun.elapsed() < after + A_MOMENT);
    }
}

/// Row 57: the error comes when the wait is over, and the proxy can be used afterwards.
pub async fn a_call_times_out_and_the_proxy_is_usable(world: &mut dyn World) {
    let pair = pair(world).await;
    let begun = Instant::now();
    let late = call_within(&pair.proxy, code::HOLD, A_MOMENT).await;
    let took = begun.elapsed();
    assert_eq!(
        late.unwrap_err(),
        SendRequestError::TimedOut { after: A_MOMENT }
    );
    assert!(
        took >= A_MOMENT / 2 && took < A_MOMENT + TOLERANCE,
        "{took:?}"
    );
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
}

/// Both ends keep to the deadline, and nothing is left of the call.
pub async fn a_handler_is_dropped_when_its_deadline_passes(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    call_within(&pair.proxy, code::HOLD, A_MOMENT)
        .await
        .unwrap_err();
    reached(&pair.bench.left, 1).await;
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Dropping the future of a call cancels it at the other side.
pub async fn a_handler_is_dropped_when_its_caller_gives_up(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    let proxy = pair.proxy.clone();
    let caller = tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await });
    reached(&pair.bench.entered, 1).await;
    caller.abort();
    reached(&pair.bench.left, 1).await;
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
}

/// A call that a handler makes ends with the call that the handler serves.
pub async fn a_nested_call_inherits_the_deadline(world: &mut dyn World) {
    let pair = pair(world).await;
    let (inner, inner_bench) = workbench();
    let begun = Instant::now();
    let data = delegation(&inner, code::HOLD, 0);
    let option = CallOption::two_way().wait(A_MOMENT);
    let late = pair.proxy.send_request(code::DELEGATE, &data, option).await;
    let late = late.unwrap_err();
    assert_eq!(late, SendRequestError::TimedOut { after: A_MOMENT });
    reached(&inner_bench.entered, 1).await;
    reached(&inner_bench.left, 1).await;
    assert!(
        begun.elapsed() < A_MOMENT + TOLERANCE,
        "not its own eight seconds"
    );
}
