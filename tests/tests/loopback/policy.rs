//! The policy of a device's owner, on whole nodes.

use std::{fs, path::Path, time::Duration};

use softbus::{
    Allow, CallOption, DeathReason, DeviceId, GetServiceError, Identity, Node, NodeBuilder, Parcel,
    Policy, RemoteObject, SendRequestError, ServiceOptions, TrustStore,
    audit::AuditRecords,
    certs::{AuditEvent, Hidden, PolicyStore, Rule, Subject},
};
use testkit::{
    scenarios::{SERVICE, workbench::workbench},
    wait::run_within,
    world::loopback::LOCAL,
};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);
/// The workbench's codes: reverse, and echo.
const ALLOWED: u32 = 1;
const OTHER: u32 = 2;

/// A device that offers a service by its policy, and one that calls.
struct Devices {
    offers: Node,
    calls: Node,
}

impl Devices {
    async fn start(with: impl FnOnce(NodeBuilder, DeviceId) -> NodeBuilder) -> Self {
        let (offers, calls) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (host, guest) = (*offers.device_id(), *calls.device_id());
        let start =
            async |identity, other, with: Box<dyn FnOnce(NodeBuilder) -> NodeBuilder + '_>| {
                let trust = TrustStore::in_memory();
                trust.trust(other, "").unwrap();
                let builder = Node::builder()
                    .identity(identity)
                    .trust(trust)
                    .listen(LOCAL);
                with(builder).start().await.unwrap()
            };
        let object = workbench().0;
        let options = ServiceOptions::distributed(Allow::by_policy());
        let with = |builder: NodeBuilder| with(builder.service(SERVICE, &object, options), guest);
        let offers = start(offers, guest, Box::new(with)).await;
        let address = offers.local_addr().unwrap();
        let with = |builder: NodeBuilder| builder.static_peer(host, address);
        let calls = start(calls, host, Box::new(with)).await;
        Self { offers, calls }
    }

    async fn get(&self) -> Result<RemoteObject, GetServiceError> {
        self.calls
            .samgr()
            .get(SERVICE, &self.offers.device_id())
            .await
    }
}

fn run(test: impl AsyncFnOnce()) {
    run_within(DEADLINE, test());
}

/// How a call of a method ended, as far as the policy is concerned.
async fn refused(object: &RemoteObject, code: u32) -> bool {
    let (data, option) = (Parcel::new(), CallOption::two_way());
    let call = object.send_request(code, &data, option).await;
    call.err() == Some(SendRequestError::Refused)
}

async fn next(records: &mut AuditRecords, name: &str) -> AuditEvent {
    loop {
        let record = records.next().await.unwrap();
        if record.event.name() == name {
            return record.event;
        }
    }
}

fn allow(device: DeviceId) -> Policy {
    let rule = Rule::allow("guest").from(Subject::Device(device));
    Policy::builder()
        .rule(rule.service(SERVICE).methods([ALLOWED]))
        .build()
        .unwrap()
}

#[test]
fn a_policy_of_code_decides_and_is_audited() {
    run(async || {
        let devices = Devices::start(|builder, guest| builder.policy(allow(guest))).await;
        let mut audit = devices.offers.audit();
        let object = devices.get().await.unwrap();
        let mut admitted = None;
        while admitted.is_none() {
            if let AuditEvent::Admitted { device } = next(&mut audit, "admitted").await {
                admitted = Some(device);
            }
        }
        let guest = devices.calls.device_id();
        assert_eq!(admitted, Some(guest));
        assert!(!refused(&object, ALLOWED).await);
        assert!(refused(&object, OTHER).await);
        let denied = next(&mut audit, "call_denied").await;
        let AuditEvent::CallDenied {
            device,
            service,
            method,
            rules,
        } = denied
        else {
            panic!("{denied:?}");
        };
        assert_eq!((device, service, method), (guest, SERVICE, OTHER));
        assert_eq!(rules[0].id, "guest");

        let (died, mut deaths) = mpsc::unbounded_channel();
        let link = object.link_to_death(move |reason| {
            let _ = died.send(reason);
        });
        let _link = link.unwrap();
        devices.offers.set_policy(Policy::default());
        assert_eq!(deaths.recv().await, Some(DeathReason::AccessRevoked));
        assert_eq!(devices.get().await.err(), Some(GetServiceError::Refused));
        let denied = next(&mut audit, "look_up_denied").await;
        let (device, service, why) = (guest, SERVICE, Hidden::NotAdmitted);
        let expected = AuditEvent::LookUpDenied {
            device,
            service,
            why,
        };
        assert_eq!(denied, expected);
        assert!(devices.offers.policy().is_some());
    });
}

fn write(path: &Path, text: &str) {
    // As an editor does, so that no half of it is read.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[test]
fn a_policys_file_is_followed_and_a_wrong_one_changes_nothing() {
    run(async || {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy.toml");
        write(&path, "version = 1\n");
        let store = PolicyStore::open(&path).unwrap();
        let devices = Devices::start(|builder, _| builder.policy(store)).await;
        let mut audit = devices.offers.audit();
        assert_eq!(devices.get().await.err(), Some(GetServiceError::Refused));

        let rule = format!(
            "version = 1\n[[rule]]\nid = \"guest\"\nfrom = [\"device:{}\"]\nservice = [{}]\nmethods = [1]\n",
            devices.calls.device_id(),
            SERVICE.get()
        );
        write(&path, &rule);
        next(&mut audit, "policy_changed").await;
        let object = devices.get().await.unwrap();
        assert!(!refused(&object, ALLOWED).await);

        let failing = "[[test]]\nfrom = \"trusted\"\nservice = 7\nmethod = 1\nexpect = \"allow\"\n";
        write(&path, &format!("{rule}{failing}"));
        let AuditEvent::PolicyRefused { error } = next(&mut audit, "policy_refused").await else {
            panic!("not refused");
        };
        assert!(
            error.contains("policy.toml:7: the test expects allow"),
            "{error}"
        );
        assert!(!refused(&object, ALLOWED).await);

        fs::remove_file(&path).unwrap();
        next(&mut audit, "policy_refused").await;
        assert!(!refused(&object, ALLOWED).await);

        write(&path, "version = 1\n");
        next(&mut audit, "policy_changed").await;
        assert_eq!(devices.get().await.err(), Some(GetServiceError::Refused));
    });
}

#[test]
fn a_node_does_not_start_with_a_policy_that_is_not_right() {
    run(async || {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("bus");
        let start = async || {
            let builder = Node::builder().identity_dir(&directory).listen(LOCAL);
            builder.start().await.map(drop)
        };
        start().await.unwrap();
        fs::write(directory.join("policy.toml"), "version = 1\n[[rule]]\n").unwrap();
        let error = start().await.unwrap_err().to_string();
        assert!(error.contains("policy.toml:2: missing field"), "{error}");
    });
}
