//! What nodes log over real QUIC: at every level, and what their libraries say too.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER, HEXUPPER};
use quinn::crypto::rustls::QuicClientConfig;
use softbus::{
    Allow, CallOption, Caller, DeviceId, GetServiceError, HandlerError, Identity, Node,
    NodeBuilder, Parcel, RemoteObject, RemoteStub, ServiceId, ServiceOptions, async_trait,
    certs::{
        CertificateAuthority,
        pairing::{Initiator, PairingChannel, Step},
        tls,
    },
    pairing::{PairError, PairWith, PairingCode, PairingOptions},
    rpc::telemetry::SlowThresholds,
};
use tempfile::TempDir;
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::{MakeWriter, format::FmtSpan},
    util::SubscriberInitExt,
};

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const SECRET: &str = "correct horse battery staple";
/// Made by the node, for itself alone.
const IDENTITY: &str = "identity";
const SLOW: SlowThresholds = SlowThresholds::DEFAULT
    .handlers(Duration::from_millis(10), SOON)
    .calls(Duration::from_millis(15));
/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The lines with all of these in them.
    fn lines(&self, parts: &[&str]) -> Vec<String> {
        let text = self.text();
        let lines = text.lines();
        let found = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
        found.map(str::to_owned).collect()
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs a test on one thread, with all tasks of its nodes, and returns what was logged there.
fn logged(level: LevelFilter, test: impl AsyncFnOnce(&Log)) -> Log {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // Takes in what is said through the crate `log`, too: rustls does.
    let _guard = subscriber.set_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(SOON, test(&log)).await });
    ended.unwrap();
    log
}

struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "org.example.Echo"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let text = data.read_string()?;
        match code {
            1 => Ok(reply.write_string(&text)?),
            2 => Err(HandlerError::Failed(text)),
            3 => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(())
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

fn builder(directory: &TempDir) -> NodeBuilder {
    Node::builder()
        .identity_dir(directory.path().join(IDENTITY))
        .listen("127.0.0.1:0".parse().unwrap())
        .slow_thresholds(SLOW)
}

/// Two nodes of which the second knows the first and its address, and trusts it.
async fn pair(directories: &[TempDir; 2], mutual: bool) -> [Node; 2] {
    let a = builder(&directories[0]).start().await.unwrap();
    a.samgr()
        .add(
            SERVICE,
            &RemoteObject::new(Echo),
            ServiceOptions::distributed(Allow::trusted()),
        )
        .unwrap();
    let b = builder(&directories[1])
        .static_peer(a.device_id(), a.local_addr().unwrap())
        .start()
        .await
        .unwrap();
    if mutual {
        a.trust().unwrap().trust(b.device_id(), "b").unwrap();
    }
    b.trust().unwrap().trust(a.device_id(), "a").unwrap();
    [a, b]
}

#[test]
fn a_device_that_is_not_trusted_is_logged_at_both_ends() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    logged(LevelFilter::INFO, async |log| {
        let [a, b] = pair(&directories, false).await;
        let got = b.samgr().get(SERVICE, &a.device_id()).await;
        assert_eq!(got.unwrap_err(), GetServiceError::NotTrustedByDevice);
        // And the other way: the one who asks does not trust.
        let got = a.samgr().get(SERVICE, &b.device_id()).await;
        assert_eq!(got.unwrap_err(), GetServiceError::DeviceNotTrusted);

        let said = |message: &str, device: DeviceId| {
            let device = device.short().to_string();
            let kind = "kind=\"not_trusted\"";
            log.lines(&["softbus::refusal", message, &device, kind])
                .len()
        };
        assert!(said("device turned away", b.device_id()) >= 1);
        assert_eq!(said("device not reached", a.device_id()), 1);
        assert_eq!(said("device not reached", b.device_id()), 1);
        a.shutdown().await;
        b.shutdown().await;
    });
}

#[test]
fn a_clock_that_is_behind_is_warned_of_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let prefix = "spiffe://example.org/prod/";
    let ca = CertificateAuthority::init(at("ca"), prefix).unwrap();
    std::fs::write(at("prod.pem"), ca.certificate().unwrap()).unwrap();
    let text = "version = 1\n[[ca]]\nname = \"prod\"\ncertificate = \"prod.pem\"\n";
    let text = format!("{text}uri_prefix = \"{prefix}\"\n");
    std::fs::write(at("fleet.toml"), text).unwrap();
    let warnings = || {
        let log = logged(LevelFilter::WARN, async |_| {
            let node = builder(&directory).fleet(at("fleet.toml")).start().await;
            node.unwrap().shutdown().await;
        });
        log.lines(&["clock is behind"]).len()
    };
    assert_eq!(warnings(), 0);
    // As it is seen from a clock that is behind.
    let file = std::fs::File::options().write(true).open(at("fleet.toml"));
    let ahead = std::time::SystemTime::now() + Duration::from_secs(3600);
    file.unwrap().set_modified(ahead).unwrap();
    assert_eq!(warnings(), 1);
}

#[test]
fn a_node_tells_of_slow_handlers_as_its_builder_says() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let log = logged(LevelFilter::WARN, async |_| {
        let [a, b] = pair(&directories, true).await;
        let echo = b.samgr().get(SERVICE, &a.device_id()).await.unwrap();
        let mut data = Parcel::new();
        data.write_string("").unwrap();
        let called = echo.send_request(3, &data, CallOption::two_way()).await;
        called.unwrap();
        b.shutdown().await;
        a.shutdown().await;
    });
    assert_eq!(log.lines(&["softbus::slow", "handler is slow"]).len(), 1);
    assert!(!log.lines(&["softbus::slow", "call waited long"]).is_empty());
}

/// How bytes could show up in a log.
fn forms(bytes: &[u8]) -> Vec<String> {
    let list = format!("{bytes:?}");
    vec![
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        list.trim_matches(['[', ']']).to_owned(),
        bytes.escape_ascii().to_string(),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
    ]
}

#[test]
fn at_no_level_do_nodes_log_ids_payload_or_keys() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut devices = Vec::new();
    let log = logged(LevelFilter::TRACE, async |_| {
        let [a, b] = pair(&directories, true).await;
        devices.extend([a.device_id(), b.device_id()]);
        let echo = b.samgr().get(SERVICE, &a.device_id()).await.unwrap();
        let mut data = Parcel::new();
        data.write_string(SECRET).unwrap();
        let mut reply = echo
            .send_request(1, &data, CallOption::two_way())
            .await
            .unwrap();
        assert_eq!(reply.read_string().unwrap(), SECRET);
        for code in [2, 4] {
            let failed = echo.send_request(code, &data, CallOption::two_way()).await;
            failed.unwrap_err();
        }
        let mut large = Parcel::new();
        large.write_string(SECRET).unwrap();
        large
            .write_raw_data(SECRET.repeat(4000).into_bytes())
            .unwrap();
        echo.send_request(1, &large, CallOption::two_way())
            .await
            .unwrap();
        let one_way = echo.send_request(1, &data, CallOption::one_way()).await;
        one_way.unwrap();
        a.trust().unwrap().forget(&b.device_id()).unwrap();
        let refused = b.samgr().get(SERVICE, &a.device_id()).await;
        refused.unwrap_err();
        b.shutdown().await;
        a.shutdown().await;
    });

    let text = log.text();
    for target in ["quinn", "rustls", "softbus", "TRACE", "DEBUG"] {
        assert!(!log.lines(&[target]).is_empty(), "nothing of {target}");
    }
    for device in devices {
        assert!(text.contains(&device.short().to_string()));
        let shown = device.to_string();
        let mut full = forms(device.as_bytes());
        full.extend([shown.replace('-', ""), shown]);
        for form in full {
            assert!(!text.contains(&form), "{form}");
        }
    }
    for form in forms(&SECRET.as_bytes()[..12]) {
        assert!(!text.contains(&form), "{form}");
    }
    for directory in &directories {
        let pem = std::fs::read_to_string(directory.path().join(IDENTITY).join("key.pem")).unwrap();
        let body = pem.lines().nth(1).unwrap();
        let key = BASE64.decode(body.as_bytes()).unwrap();
        // The last 32 bytes of an Ed25519 key are the secret ones, and so is each part of them.
        let seed = &key[key.len() - 32..];
        assert!(!text.contains(body));
        for part in seed.chunks_exact(8) {
            for form in forms(part) {
                assert!(!text.contains(&form), "a part of a private key");
            }
        }
    }
}

#[test]
fn at_no_level_is_a_code_or_the_secret_of_a_qr_code_logged() {
    let mut codes_logged = 0;
    // Six digits may be in a log by chance, once; not twice.
    for _ in 0..2 {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (mut code, mut secret) = (String::new(), String::new());
        let log = logged(LevelFilter::TRACE, async |_| {
            let tv = builder(&directories[0]).start().await.unwrap();
            let phone = builder(&directories[1]).start().await.unwrap();
            let options = PairingOptions::code_and_qr().without_asking();
            let window = tv.open_pairing(options.clone()).await.unwrap();
            let shown = window.code().unwrap();
            code = shown.reveal().to_owned();
            let at = [tv.local_addr().unwrap()];
            let wrong = if code == "000000" { "000001" } else { "000000" };
            let mistyped = phone.pair(PairWith::code(at, wrong.parse().unwrap())).await;
            mistyped.unwrap_err();
            let typed = async || phone.pair(PairWith::code(at, shown.clone())).await;
            while typed().await == Err(PairError::Busy) {
                // Not to synchronise: it is the pace that one address is allowed.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            drop(window);
            let window = tv.open_pairing(options).await.unwrap();
            let scanned = window.invitation(at).unwrap();
            let text = scanned.reveal();
            let (_, rest) = text.split_once("&s=").unwrap();
            rest.split('&').next().unwrap().clone_into(&mut secret);
            let scan = async || phone.pair(PairWith::invitation(&scanned)).await;
            while scan().await == Err(PairError::Busy) {
                // Not to synchronise: it is the pace that one address is allowed.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            assert!(tv.trust().unwrap().is_trusted(&phone.device_id()));
            phone.shutdown().await;
            tv.shutdown().await;
        });
        let text = log.text();
        assert!(text.contains("paired") && text.contains("pairing_failed"));
        codes_logged += usize::from(text.contains(&code));
        assert!(!text.contains(&secret));
        let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        for part in bytes.chunks_exact(8) {
            for form in forms(part) {
                assert!(!text.contains(&form), "a part of the secret of a qr code");
            }
        }
    }
    assert!(codes_logged < 2, "codes are logged");
}

/// One end of a pairing by hand, so that all of it that only the two ends have is known here.
struct ByHand {
    /// What TLS exports, and each message of either end.
    secrets: Vec<Vec<u8>>,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
}

impl ByHand {
    async fn says(&mut self, message: Vec<u8>) {
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        self.send.write_all(&len).await.unwrap();
        self.send.write_all(&message).await.unwrap();
        self.secrets.push(message);
    }

    async fn hears(&mut self) -> Vec<u8> {
        let mut len = [0; 2];
        self.receive.read_exact(&mut len).await.unwrap();
        let mut message = vec![0; u16::from_be_bytes(len).into()];
        self.receive.read_exact(&mut message).await.unwrap();
        self.secrets.push(message.clone());
        message
    }

    /// Pairs with a node that asks nobody, and returns what both ends have said.
    async fn pairs(tv: &Node, code: &PairingCode) -> Vec<Vec<u8>> {
        let identity = Identity::generate().unwrap();
        let (client, _) = tls::pairing_client_config(&identity, None).unwrap();
        let client = QuicClientConfig::try_from(client).unwrap();
        let client = quinn::ClientConfig::new(Arc::new(client));
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = tv.local_addr().unwrap();
        let connection = endpoint.connect_with(client, at, tls::SERVER_NAME);
        let connection = connection.unwrap().await.unwrap();
        let mut exporter = [0; 32];
        let label = PairingChannel::EXPORTER_LABEL;
        let exported = connection.export_keying_material(&mut exporter, label, &[]);
        exported.unwrap();
        let channel = PairingChannel::new(*identity.device_id(), tv.device_id(), exporter);
        let (mut machine, hello) = Initiator::by_code(channel, "phone", code).unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        let mut hand = Self {
            secrets: vec![exporter.to_vec()],
            send,
            receive,
        };
        hand.says(hello).await;
        loop {
            let mut steps = machine.receive(&hand.hears().await).unwrap();
            if steps == [Step::Store] {
                steps = machine.stored().unwrap();
            }
            for step in steps {
                match step {
                    Step::Send(message) => hand.says(message).await,
                    Step::Done => return hand.secrets,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// Who knows what TLS exports and reads the messages can try all codes at leisure. The keys in between never leave the
/// machines of `certs`, which have nothing to log with.
#[test]
fn at_no_level_is_what_the_ends_of_a_pairing_prove_logged() {
    let directory = tempfile::tempdir().unwrap();
    let mut secrets = Vec::new();
    let log = logged(LevelFilter::TRACE, async |log| {
        let tv = builder(&directory).start().await.unwrap();
        let options = PairingOptions::code().without_asking();
        let window = tv.open_pairing(options).await.unwrap();
        secrets = ByHand::pairs(&tv, &window.code().unwrap()).await;
        while log.lines(&["paired"]).is_empty() {
            tokio::task::yield_now().await;
        }
        tv.shutdown().await;
    });
    let text = log.text();
    // What is exported, two hellos, two messages of the key exchange, two confirmations, and the end.
    assert_eq!(secrets.len(), 8);
    for secret in secrets {
        for part in secret.chunks_exact(8) {
            for form in forms(part) {
                assert!(!text.contains(&form), "{form} of a pairing is logged");
            }
        }
    }
}
