//! Row 68: a stub writes what is in it to a file of another process.

use std::{
    io::{self, PipeReader, Write},
    time::Duration,
};

use softbus::{
    CallOption, RemoteObject, SendRequestError, ServiceId, remote_interface,
    rpc::{
        StubOptions,
        dump::DumpError,
        limits::{BLOCKING_THREADS, DUMPS},
    },
};
use testkit::{
    scenarios::{
        SERVICE_OF_A, for_all,
        introductions::inbox,
        pair, reached,
        workbench::{reverse, workbench},
    },
    world::{World, local::LocalWorld},
};
use tokio::sync::watch;

use crate::run;

const OTHER_SERVICE: ServiceId = ServiceId::new(1777).unwrap();

/// What an object writes.
async fn dumped(object: &RemoteObject, arguments: &[&str]) -> Result<String, DumpError> {
    let (reader, writer) = io::pipe().unwrap();
    let dumped = object.dump(&writer, arguments, CallOption::two_way()).await;
    drop(writer);
    dumped.map(|()| text(reader))
}

fn text(reader: PipeReader) -> String {
    io::read_to_string(reader).unwrap()
}

#[remote_interface(descriptor = "org.example.Lamp")]
trait Lamp {
    async fn is_on(&self) -> bool;
}

struct On;

impl Lamp for On {
    async fn is_on(&self) -> bool {
        true
    }
}

#[test]
fn a_dump_gets_its_arguments_and_a_descriptor() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let pair = pair(world).await;
        reverse(&pair.proxy, 12).await.unwrap();
        let written = dumped(&pair.proxy, &["-a", "größe"]).await;
        assert_eq!(written.unwrap(), "1 requests -a größe\n");
        // No process is between, and none is needed.
        let written = dumped(&pair.stub, &[]).await;
        assert_eq!(written.unwrap(), "1 requests \n");
    });
}

#[test]
fn an_object_that_writes_nothing_says_so() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let pair = pair(world).await;
        let (silent, _came) = inbox();
        pair.b.add(SERVICE_OF_A, &silent, for_all()).unwrap();
        let proxy = pair.a.get(SERVICE_OF_A, &pair.b.id()).await.unwrap();
        for object in [silent, proxy] {
            assert_eq!(dumped(&object, &[]).await, Err(DumpError::NotSupported));
        }
    });
}

/// One of a typed interface, which fails and says why.
#[test]
fn a_dump_that_fails_says_why_and_harms_nobody() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let pair = pair(world).await;
        let options = StubOptions::execution(softbus::rpc::Execution::Blocking);
        for stub in [LampStub::new(On), LampStub::with_options(On, options)] {
            let lamp = RemoteObject::with_dump(stub, |output, arguments| {
                output.write_all(b"as far as")?;
                match arguments {
                    [] => Err(io::Error::other("out of ink")),
                    _ => panic!("asked to"),
                }
            });
            pair.b.add(SERVICE_OF_A, &lamp, for_all()).unwrap();
            let proxy = pair.a.get(SERVICE_OF_A, &pair.b.id()).await.unwrap();
            let (reader, writer) = io::pipe().unwrap();
            let two_way = CallOption::two_way();
            let failed = proxy.dump(&writer, &[], two_way).await.unwrap_err();
            let own_words = SendRequestError::Internal("out of ink".to_owned());
            assert_eq!(failed, DumpError::Call(own_words));
            let failed = proxy.dump(&writer, &["panic"], two_way).await.unwrap_err();
            assert_eq!(failed, DumpError::Call(SendRequestError::Panicked));
            drop(writer);
            assert_eq!(text(reader), "as far asas far as");
            let lamp = LampProxy::new(proxy);
            assert_eq!(lamp.is_on().await, Ok(true));
        }
    });
}

/// Who writes into a pipe that nobody reads holds up nobody but himself.
#[test]
fn a_dump_that_nobody_reads_holds_up_nobody() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let pair = pair(world).await;
        let (begun, ended) = (watch::Sender::<u64>::default(), watch::Sender::default());
        let (tell_begun, tell_ended) = (begun.clone(), ended.clone());
        let talker = RemoteObject::with_dump(LampStub::new(On), move |output, _| {
            tell_begun.send_modify(|count| *count += 1);
            let written = output.write_all(&[b'x'; 1 << 20]);
            tell_ended.send_modify(|count| *count += 1);
            written
        });
        pair.b.add(SERVICE_OF_A, &talker, for_all()).unwrap();
        let proxy = pair.a.get(SERVICE_OF_A, &pair.b.id()).await.unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let after = Duration::from_millis(300);
        let late = proxy.dump(&writer, &[], CallOption::two_way().wait(after));
        let (late, reversed) = tokio::join!(late, async {
            reached(&begun, 1).await;
            LampProxy::new(proxy.clone()).is_on().await.unwrap();
            reverse(&pair.proxy, 2019).await
        });
        let timed_out = SendRequestError::TimedOut { after };
        assert_eq!(late, Err(DumpError::Call(timed_out)));
        assert_eq!(reversed, Ok(9102));
        // More of them than there are threads leave some to handlers that block.
        let dumps: Vec<_> = (0..BLOCKING_THREADS)
            .map(|_| {
                let (proxy, writer) = (proxy.clone(), writer.try_clone().unwrap());
                tokio::spawn(async move {
                    let two_way = CallOption::two_way();
                    proxy.dump(&writer, &[], two_way).await
                })
            })
            .collect();
        reached(&begun, DUMPS as u64).await;
        let blocking = StubOptions::execution(softbus::rpc::Execution::Blocking);
        let lamp = RemoteObject::new(LampStub::with_options(On, blocking));
        pair.b.add(OTHER_SERVICE, &lamp, for_all()).unwrap();
        let lamp = pair.a.get(OTHER_SERVICE, &pair.b.id()).await.unwrap();
        LampProxy::new(lamp).is_on().await.unwrap();
        assert_eq!((*begun.borrow(), *ended.borrow()), (DUMPS as u64, 0));
        // A thread is free when the pipe is gone.
        drop((reader, writer));
        reached(&ended, DUMPS as u64).await;
        for dump in dumps {
            assert!(dump.await.unwrap().is_err());
        }
    });
}

/// A stub that another process gave, and no service: whoever has it may ask.
#[test]
fn an_anonymous_object_is_asked_too() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let pair = pair(world).await;
        let (stub, _bench) = workbench();
        testkit::scenarios::workbench::keep(&pair.proxy, &[&stub])
            .await
            .unwrap();
        let kept = pair.bench.kept()[0].clone();
        assert!(kept.as_proxy().is_some());
        assert_eq!(dumped(&kept, &["it"]).await.unwrap(), "0 requests it\n");
    });
}
