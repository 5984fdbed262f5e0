//! Rows 44, 45 and 48, between processes.

use std::io::{self, Write};

use proto::frame::Frame;
use softbus::{
    CallOption, Parcel, RemoteObject, SendRequestError,
    rpc::{
        ashmem::{Ashmem, AshmemError},
        parcel::MAX_DESCRIPTORS,
    },
};

use testkit::wait::wait_until_async;

use crate::{
    SOON,
    raw::{RawProcess, encoded},
    run,
    stage::{GIVE, MIXED, RAW, Stage, give, look, take, two_way},
};

#[test]
fn descriptors_go_and_come_and_do_not_survive_an_exec() {
    run(async {
        let stage = Stage::set().await;
        for count in [0, 1, MAX_DESCRIPTORS as u32] {
            assert_eq!(take(&stage.proxy, count).await, Ok(0));
            for given in give(&stage.proxy, count).await.unwrap() {
                let mut pipe = io::PipeReader::from(given);
                assert_eq!(io::read_to_string(&mut pipe).unwrap(), "given");
            }
        }
        // Through the parcel too.
        let given = give(&stage.proxy, 1).await.unwrap();
        let flags = rustix::io::fcntl_getfd(&given[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    });
}

// Row 100.
#[test]
fn small_raw_data_is_in_the_message_and_large_in_shared_memory() {
    run(async {
        let mut stage = Stage::set().await;
        let mut process = RawProcess::attach(&stage.path).await;
        stage.sessions.recv().await.unwrap();
        let service = process.service().await;
        // With its size before it, 32 KiB are what a message carries.
        for (len, packets) in [(32 * 1024 - 4, 0), (32 * 1024 + 1, 1)] {
            let call = process.call(service, RAW, &u32::to_le_bytes(len), 0);
            let call = encoded(&Frame::Call(call));
            process.send(&call, &[]).await.unwrap();
            let reply = process.reply().await.unwrap();
            let beside = reply.bulk.map_or(0, |part| part.raw_len);
            assert_eq!(beside, len * packets);
            assert_eq!(reply.body.len() > len as usize, packets == 0);
            // It comes on a socket of its own.
            let mut came = 0;
            let all_came = async || {
                came += process.packets_there();
                came == packets as usize
            };
            assert!(wait_until_async(SOON, all_came).await);
        }
    });
}

// Row 44.
#[test]
fn an_appended_parcel_arrives_with_its_objects_and_descriptors() {
    run(async {
        let stage = Stage::set().await;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b" and read").unwrap();
        drop(writer);
        let mut tail = Parcel::new();
        tail.write_string("written").unwrap();
        tail.write_file_descriptor(&reader).unwrap();
        let mut data = Parcel::new();
        data.write_remote_object(&stage.proxy).unwrap();
        data.append(&tail).unwrap();
        // The same parcel can be sent again.
        for _ in 0..2 {
            let reply = stage.proxy.send_request(MIXED, &data, two_way()).await;
            let mut reply = reply.unwrap();
            let text = reply.read_string().unwrap();
            assert!(
                ["written and read", "written"].contains(&&text[..]),
                "{text}"
            );
            assert_eq!(reply.read_remote_object().unwrap(), stage.proxy);
        }
        assert!(tail.has_file_descriptors());
    });
}

#[test]
fn shared_memory_is_written_and_read_by_both() {
    run(async {
        let stage = Stage::set().await;
        let memory = Ashmem::create("local", 1 << 30).unwrap();
        memory.write(0, &[41]).unwrap();
        memory.write((1 << 30) - 1, &[7]).unwrap();
        assert_eq!(look(&stage.proxy, &memory).await, Ok([41, 7]));
        // The other end has raised it.
        assert_eq!(look(&stage.proxy, &memory).await, Ok([42, 7]));
        let narrowed = memory.read_only().unwrap();
        assert_eq!(look(&stage.proxy, &narrowed).await, Ok([43, 7]));
        assert_eq!(look(&stage.proxy, &narrowed).await, Ok([43, 7]));

        let frozen = Ashmem::create("local", 4096).unwrap();
        frozen.freeze().unwrap();
        assert_eq!(look(&stage.proxy, &frozen).await, Ok([0, 0]));
        assert_eq!(frozen.write(0, &[1]), Err(AshmemError::ReadOnly));
    });
}

#[test]
fn what_is_too_large_for_a_message_is_told_its_way() {
    run(async {
        let stage = Stage::set().await;
        let mut data = Parcel::new();
        data.raise_to_transport_limit();
        data.write_buffer(&vec![0; 1024 * 1024 - 4]).unwrap();
        let sent = stage.proxy.send_request(GIVE, &data, two_way()).await;
        let error = sent.unwrap_err();
        let (size, limit) = (1024 * 1024 - 4, 1024 * 1024 - 8 * 1024);
        assert_eq!(error, SendRequestError::RequestTooLarge { size, limit });
        let text = error.to_string();
        assert!(
            text.contains("raw data") && text.contains("Ashmem"),
            "{text}"
        );
        // By that way it goes.
        let memory = Ashmem::create("local", 2 << 20).unwrap();
        assert_eq!(look(&stage.proxy, &memory).await, Ok([0, 0]));
    });
}

#[test]
fn many_calls_at_once_get_their_own_descriptors() {
    run(async {
        let stage = Stage::set().await;
        let ask = |index: usize, proxy: RemoteObject| async move {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(&[index as u8]).unwrap();
            drop(writer);
            let mut data = Parcel::new();
            data.write_remote_object(&proxy).unwrap();
            data.write_string("").unwrap();
            data.write_file_descriptor(&reader).unwrap();
            let mut reply = proxy
                .send_request(MIXED, &data, CallOption::two_way())
                .await?;
            let text = reply.read_string().unwrap();
            assert_eq!(text.as_bytes(), [index as u8]);
            Ok::<_, SendRequestError>(())
        };
        let asked = (0..100).map(|index| tokio::spawn(ask(index, stage.proxy.clone())));
        for one in asked.collect::<Vec<_>>() {
            one.await.unwrap().unwrap();
        }
    });
}
