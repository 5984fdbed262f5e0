//! Whatever becomes of a call, its descriptors are closed at both ends.

use std::time::Duration;

use softbus::{
    CallOption, DeathReason, Parcel, SendRequestError,
    rpc::{limits::DESCRIPTORS_PER_PEER, parcel::MAX_DESCRIPTORS},
};

use crate::{
    run,
    stage::{GIVE, HOLD, LOOK, Stage, TAKE, closes, give, open, take, two_way, with_pipes},
};

#[test]
fn after_calls_that_ended_well_or_not() {
    run(async {
        let stage = Stage::set().await;
        stage.serves().await;
        let before = open();
        let full = with_pipes(MAX_DESCRIPTORS as u32);
        // Taken, not looked at, of no method, misread, and of no use to its caller.
        take(&stage.proxy, 16).await.unwrap();
        for code in [GIVE, 99, LOOK] {
            let _ = stage.proxy.send_request(code, &full, two_way()).await;
        }
        drop(give(&stage.proxy, 16).await.unwrap());
        let mut data = Parcel::new();
        data.write_u32(16).unwrap();
        let unread = stage.proxy.send_request(GIVE, &data, two_way()).await;
        drop((unread.unwrap(), full));
        closes(before).await;
    });
}

#[test]
fn after_calls_that_were_given_up() {
    run(async {
        let stage = Stage::set().await;
        stage.serves().await;
        let before = open();
        let data = with_pipes(4);
        // Timed out while the handler has them.
        let short = CallOption::two_way().wait(Duration::from_millis(50));
        let late = stage.proxy.send_request(HOLD, &data, short).await;
        assert!(matches!(late, Err(SendRequestError::TimedOut { .. })));
        // Dropped there.
        {
            let call = stage.proxy.send_request(HOLD, &data, two_way());
            tokio::select! {
                _ = call => panic!("nobody let go"),
                () = stage.hold(1) => {}
            }
        }
        // Dropped before it was written.
        {
            let mut call = Box::pin(stage.proxy.send_request(GIVE, &data, two_way()));
            let first = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
            assert!(first.await.is_pending());
        }
        drop(data);
        closes(before).await;
        stage.serves().await;
    });
}

#[test]
fn after_one_way_calls() {
    run(async {
        let stage = Stage::set().await;
        stage.serves().await;
        let before = open();
        let data = with_pipes(MAX_DESCRIPTORS as u32);
        let one_way = CallOption::one_way();
        for code in [TAKE, 99] {
            for _ in 0..100 {
                stage
                    .proxy
                    .send_request(code, &data, one_way)
                    .await
                    .unwrap();
            }
        }
        // Behind one that holds on, as many wait as credit allows, and no more.
        let held = 7;
        stage
            .proxy
            .send_request(HOLD, &Parcel::new(), one_way)
            .await
            .unwrap();
        stage.hold(1).await;
        for _ in 0..held {
            stage
                .proxy
                .send_request(TAKE, &data, one_way)
                .await
                .unwrap();
        }
        let more = stage
            .proxy
            .send_request(TAKE, &data, one_way.no_wait())
            .await;
        assert!(matches!(more, Err(SendRequestError::Busy { .. })));
        drop(data);
        let most = before + held * MAX_DESCRIPTORS;
        assert!(open() <= most, "{} open, {most} at most", open());
        stage.desk.let_go.notify_one();
        closes(before).await;
    });
}

#[test]
fn requests_under_way_hold_so_many_and_further_ones_are_busy() {
    run(async {
        let stage = Stage::set().await;
        stage.serves().await;
        let before = open();
        let data = with_pipes(MAX_DESCRIPTORS as u32);
        let holders = DESCRIPTORS_PER_PEER / MAX_DESCRIPTORS as u32;
        let calls: Vec<_> = (0..holders)
            .map(|_| {
                let (proxy, data) = (stage.proxy.clone(), data.clone());
                tokio::spawn(async move { proxy.send_request(HOLD, &data, two_way()).await })
            })
            .collect();
        stage.hold(holders).await;
        let limit = Some(u64::from(DESCRIPTORS_PER_PEER));
        let busy = take(&stage.proxy, 1).await.unwrap_err();
        assert!(matches!(busy, SendRequestError::Busy { limit: named, .. } if named == limit));
        assert_eq!(give(&stage.proxy, 1).await.unwrap().len(), 1);
        stage.desk.let_go.notify_waiters();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        drop(data);
        closes(before).await;
        stage.serves().await;
    });
}

#[test]
fn after_the_end_of_a_session() {
    run(async {
        // What is made once, by whoever comes first, is there afterwards.
        Stage::set().await.ends().await;
        let nothing = open();
        let stage = Stage::set().await;
        let data = with_pipes(4);
        let held = stage.proxy.send_request(HOLD, &data, two_way());
        let end = async {
            stage.hold(1).await;
            let reason = DeathReason::ProcessDied;
            stage.at_host.close(reason, 0x100, "leaving");
        };
        let (held, ()) = tokio::join!(held, end);
        assert_eq!(held.unwrap_err(), SendRequestError::Indeterminate);
        // What is sent from here on goes nowhere.
        stage.at_client.ended().await;
        assert!(take(&stage.proxy, 1).await.is_err());
        drop(data);
        stage.ends().await;
        closes(nothing).await;
    });
}
