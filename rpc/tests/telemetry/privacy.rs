//! Row 121: what may not stand in a log does not stand in it, at any level.

use softbus_rpc::{CallOption, Parcel};

use crate::{
    capture::Capture,
    devices::{Actor, Pair, call, code, pair, settle, sleep},
};

const SECRET: &str = "correct horse battery staple";

/// How bytes could show up in a log.
fn forms(bytes: &[u8]) -> [String; 4] {
    let hex = |upper: bool| {
        let digits = bytes.iter().map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        digits.collect::<String>()
    };
    let list = format!("{bytes:?}");
    [
        hex(false),
        hex(true),
        list.trim_matches(['[', ']']).to_owned(),
        String::from_utf8_lossy(bytes).into_owned(),
    ]
}

#[tokio::test(start_paused = true)]
async fn neither_device_ids_nor_payload_stand_in_any_log() {
    let (capture, _guard) = Capture::start();
    let Pair {
        actor,
        here,
        there,
        buses,
    } = &pair(Actor::default()).await;
    for code in [
        code::ECHO,
        code::LOG,
        code::FAIL,
        code::REFUSE,
        code::LARGE,
        code::PANIC,
        code::UNKNOWN,
    ] {
        let _ = call(actor, code, SECRET).await;
    }
    let mut large = Parcel::new();
    large
        .write_raw_data(SECRET.repeat(4000).into_bytes())
        .unwrap();
    large.write_string16(SECRET).unwrap();
    let _ = actor
        .send_request(code::ECHO, &large, CallOption::two_way())
        .await;
    let _ = actor
        .send_request(code::ECHO, &large, CallOption::one_way())
        .await;
    sleep(actor, 6_000).await.unwrap();
    let _ = sleep(actor, 60_000).await;
    tracing::info!(?actor, ?here, ?there, bus = ?buses[0], "what programs log");
    there.leave(0, "bye").await;
    here.ended().await;
    let _ = call(actor, code::ECHO, SECRET).await;
    settle().await;

    let text = capture.text();
    assert!(capture.events().len() > 5 && capture.calls().len() > 20);
    for number in [1, 2] {
        let device = proto::DeviceId::from_bytes([number; 32]);
        let short = device.short().to_string();
        assert!(text.contains(&short), "{short}");
        assert!(!text.contains(&device.to_string()));
        for form in forms(&[number; 8]) {
            assert!(!text.contains(&form), "{form}");
        }
    }
    let utf16: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for form in forms(&SECRET.as_bytes()[..12])
        .into_iter()
        .chain(forms(&utf16[..12]))
    {
        assert!(!text.contains(&form), "{form}");
    }
}
