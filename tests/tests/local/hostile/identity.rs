//! Who a process is, is what the system says; and who may come, what the file system says.

use std::os::unix::net::UnixStream;

use proto::frame::{Frame, Status};
use proto::message::feature;
use rustix::{
    process::{getpid, getuid},
    thread::set_thread_uid,
};
use testkit::skip::skip;

use super::act;
use crate::{
    raw::{RawProcess, encoded},
    run,
    stage::{Stage, WHO},
};

// Input 57.
#[test]
fn what_a_process_says_of_itself_is_not_believed() {
    act(async |stage| {
        // Fields of its Hello that nobody has defined, of the kind that a pid and a user would be.
        let claims = [0x98, 0x06, 0x01, 0xa0, 0x06, 0x00];
        let mut process =
            RawProcess::attach_knowing(&stage.path, feature::DESCRIPTORS, &claims).await;
        let session = stage.sessions.recv().await.unwrap();
        let service = process.service().await;
        let who = process.call(service, WHO, &claims, 0);
        let who = proto::frame::Call {
            body: vec![1, 0, 0, 0, 0, 0, 0, 0].into(),
            ..who
        };
        process
            .send(&encoded(&Frame::Call(who)), &[])
            .await
            .unwrap();
        let reply = process.reply().await.unwrap();
        assert_eq!(reply.status, Status::Ok);
        let pid = getpid().as_raw_nonzero().get() as u32;
        let expected = [pid.to_le_bytes(), getuid().as_raw().to_le_bytes()].concat();
        assert_eq!(&reply.body[..], expected);
        drop(process);
        session.ended().await;
    });
}

// Input 56.
#[test]
fn another_user_does_not_get_in() {
    if !getuid().is_root() {
        return skip("only root can be another user");
    }
    run(async {
        let stage = Stage::set().await;
        let path = stage.path.clone();
        // Of this thread alone, which ends with it.
        let refused = std::thread::spawn(move || {
            set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
            UnixStream::connect(path).map(drop).unwrap_err().kind()
        });
        let refused = refused.join().unwrap();
        assert_eq!(refused, std::io::ErrorKind::PermissionDenied);
        stage.serves().await;
    });
}

// Input 56.
#[test]
fn no_socket_is_in_the_abstract_namespace() {
    run(async {
        let stage = Stage::set().await;
        let ours: Vec<_> = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|link| {
                let link = link.to_str()?.strip_prefix("socket:[")?;
                Some(link.strip_suffix(']')?.to_owned())
            })
            .collect();
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        let mut named = 0;
        for line in sockets.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            if let [.., inode, name] = fields[..]
                && ours.iter().any(|own| own == inode)
            {
                assert_eq!(name, stage.path.to_str().unwrap());
                named += 1;
            }
        }
        assert!(named > 0, "the listener is listed");
        stage.serves().await;
    });
}
