//! Names are made of the ids of devices, and nobody asks whether they are taken.

use super::*;

#[test]
fn a_newcomer_is_announced_at_once() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    let name = InstanceName::new(&announcement(65).id);
    run(async {
        let mdns = mdns();
        up(&mut mdns.watch()).await;
        let _publication = mdns.publish(ad(65)).await.unwrap();
        until_commanded(&mdns).await;
        // Three questions whether the name is taken, each with its pause, would take longer.
        let heard = wire.responses(name.as_str(), Duration::from_millis(600), 1, |response| {
            response == Response::Announcement
        });
        assert_eq!(heard, 1);
        mdns.close(CLOSE).await.unwrap();
    });
}

#[test]
fn two_devices_of_one_id_are_told_of() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        let (first, second) = (mdns(), mdns());
        let _publication = first.publish(ad(66)).await.unwrap();
        let mut other = ad(66);
        other.port = 5544;
        let _other = second.publish(other).await.unwrap();
        let degraded = async |of: &Mdns| {
            let within = Duration::from_secs(10);
            wait_for(&mut of.watch(), within, "double", |event| match event {
                Event::Status { status, .. } => matches!(status, Status::Degraded(_)).then_some(()),
                _ => None,
            })
            .await;
        };
        degraded(&first).await;
        degraded(&second).await;
        first.close(CLOSE).await.unwrap();
        second.close(CLOSE).await.unwrap();
    });
}
