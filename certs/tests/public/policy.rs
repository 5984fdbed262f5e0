//! Who may call what.

use proptest::prelude::*;
use proto::{DeviceId, ServiceId};
use softbus_certs::{
    Access, MemberName, ParseSubjectError, Policy, PolicyFault, Principal, Reason, RegisterRule,
    Rule, Subject,
};

fn device(byte: u8) -> DeviceId {
    DeviceId::from_bytes([byte; 32])
}

fn who(byte: u8) -> Principal {
    Principal::device(device(byte))
}

fn member(byte: u8, ca: &str, path: &str) -> Principal {
    let mut who = who(byte);
    who.member = Some(MemberName::new(ca, path).unwrap());
    who
}

fn service(id: u32) -> ServiceId {
    ServiceId::new(id).unwrap()
}

/// A file with one group, `tv`, of the devices 1 and 2.
fn file(rest: &str) -> String {
    format!(
        "version = 1\n[groups]\ntv = [\"{}\",\n\"{}\"]\n{rest}",
        device(1),
        device(2)
    )
}

fn policy(rest: &str) -> Policy {
    Policy::parse(&file(rest)).unwrap()
}

/// What is wrong, and in which line behind the group.
fn fault(rest: &str) -> (PolicyFault, Option<usize>) {
    let error = Policy::parse(&file(rest)).unwrap_err();
    (error.fault, error.line.map(|line| line - 4))
}

const ECHO: &str = r#"
[[rule]]
id = "echo"
from = ["group:tv"]
service = [1401]
methods = [1, 2]
"#;

#[test]
fn without_a_rule_nothing_is_allowed() {
    for empty in [Policy::default(), policy("")] {
        assert_eq!(empty.access(&who(1), service(1401)), Access::Nothing);
    }
}

#[test]
fn a_rule_allows_what_it_names_and_nothing_else() {
    let policy = policy(ECHO);
    let access = policy.access(&who(1), service(1401));
    assert_eq!(access, Access::Only([1, 2].into()));
    assert!(access.admits(1) && access.admits(2) && !access.admits(3) && !access.admits(0));
    assert_eq!(policy.access(&who(2), service(1401)), access);
    assert_eq!(policy.access(&who(3), service(1401)), Access::Nothing);
    assert_eq!(policy.access(&who(1), service(1402)), Access::Nothing);
}

#[test]
fn what_several_rules_allow_adds_up_and_a_denial_takes_away() {
    let more = format!(
        "{ECHO}
        [[rule]]
        id = \"all\"
        from = [\"device:{}\"]
        service = \"*\"
        methods = \"*\"
        [[rule]]
        id = \"third\"
        from = [\"trusted\"]
        service = [1401]
        methods = [3]
        [[deny]]
        id = \"never-2\"
        from = [\"trusted\"]
        methods = [2]
        [[deny]]
        id = \"gone\"
        from = [\"device:{}\"]",
        device(5),
        device(6),
    );
    let policy = policy(&more);
    assert_eq!(
        policy.access(&who(1), service(1401)),
        Access::Only([1, 3].into())
    );
    assert_eq!(
        policy.access(&who(5), service(9)),
        Access::AllBut([2].into())
    );
    assert!(policy.access(&who(5), service(9)).admits(7));
    assert!(!policy.access(&who(5), service(9)).admits(2));
    assert_eq!(
        policy.access(&who(7), service(1401)),
        Access::Only([3].into())
    );
    assert_eq!(policy.access(&who(6), service(1401)), Access::Nothing);
}

#[test]
fn members_of_a_fleet_are_named_by_ca_and_path() {
    let rule = |from: &str| {
        policy(&format!(
            "[[rule]]\nid = \"r\"\nfrom = [\"{from}\"]\nservice = [1]\nmethods = \"*\""
        ))
    };
    let may = |policy: &Policy, who: &Principal| policy.access(who, service(1)) != Access::Nothing;
    let one = rule("fleet:prod/kiosk/7");
    assert!(may(&one, &member(1, "prod", "kiosk/7")));
    assert!(!may(&one, &member(1, "prod", "kiosk/70")));
    assert!(!may(&one, &member(1, "test", "kiosk/7")));
    assert!(!may(&one, &who(1)));
    let below = rule("fleet:prod/kiosk/*");
    assert!(may(&below, &member(1, "prod", "kiosk/7")));
    assert!(may(&below, &member(1, "prod", "kiosk/7/8")));
    assert!(!may(&below, &member(1, "prod", "kiosk")));
    assert!(!may(&below, &member(1, "prod", "kiosks/7")));
    assert!(!may(&below, &member(1, "test", "kiosk/7")));
    let every = rule("fleet:prod/*");
    assert!(may(&every, &member(1, "prod", "kiosk")));
    assert!(!may(&every, &member(1, "production", "kiosk")));
    // A member is a trusted device too, and its own id can be named.
    assert!(may(&rule("trusted"), &member(1, "prod", "kiosk")));
    assert!(may(&rule("group:tv"), &member(1, "prod", "kiosk")));
}

#[test]
fn names_of_members_are_plain_paths() {
    for bad in ["", "/a", "a/", "a//b", "a/../b", ".", "a b", "a*", "ä"] {
        assert_eq!(
            MemberName::new("prod", bad),
            Err(ParseSubjectError::Path),
            "{bad:?}"
        );
    }
    let longest = "a".repeat(MemberName::MAX_PATH_LEN);
    assert!(MemberName::new("prod", &longest).is_ok());
    assert!(MemberName::new("prod", &format!("{longest}a")).is_err());
    for bad in ["", "a/b", "a b", "*", &"a".repeat(65)] {
        assert_eq!(
            MemberName::new(bad, "x"),
            Err(ParseSubjectError::Name),
            "{bad:?}"
        );
    }
    assert!(MemberName::new(&"a".repeat(64), "x").is_ok());
    let name = MemberName::new("prod", "kiosk/7").unwrap();
    assert_eq!(
        (name.ca(), name.path(), name.to_string().as_str()),
        ("prod", "kiosk/7", "prod/kiosk/7")
    );
}

#[test]
fn an_explanation_names_the_rule_and_its_line() {
    let policy = policy(&format!(
        "{ECHO}[[deny]]\nid = \"not-two\"\nfrom = [\"device:{}\"]\nservice = [1401]\nmethods = [2]",
        device(2)
    ));
    let explain = |byte, method| policy.explain(&who(byte), service(1401), method);
    let allowed = explain(1, 2);
    assert!(allowed.allowed());
    assert_eq!(allowed.to_string(), "allowed by rule echo (line 6)");
    let denied = explain(2, 2);
    assert!(!denied.allowed());
    assert_eq!(denied.to_string(), "denied by not-two (line 11)");
    let other = explain(1, 3);
    assert!(!other.allowed());
    assert_eq!(
        other.to_string(),
        "denied: other methods are allowed, by rule echo (line 6)"
    );
    assert_eq!(other.rules()[0].id, "echo");
    let nobody = explain(3, 1);
    assert_eq!(nobody.reason, Reason::NoRule);
    assert!(nobody.rules().is_empty());
    assert_eq!(
        nobody.to_string(),
        "denied: no rule speaks of this device and this service"
    );
}

#[test]
fn built_in_tests_have_to_hold() {
    let tests = r#"
[[test]]
from = "group:tv"
service = 1401
method = 2
expect = "allow"
[[test]]
from = "trusted"
service = 1401
method = 2
expect = "deny"
[[test]]
from = "fleet:prod/kiosk/7"
service = 1401
method = 2
expect = "deny"
"#;
    policy(&format!("{ECHO}{tests}"));
    // Of a group all devices are tried.
    let one_denied = format!(
        "{ECHO}[[deny]]\nid = \"d\"\nfrom = [\"device:{}\"]\n{tests}",
        device(2)
    );
    let (fault, line) = fault(&one_denied);
    assert_eq!(
        fault.to_string(),
        "the test expects allow for \"group:tv\", service 1401, method 2, and the policy says deny"
    );
    assert_eq!(line, Some(11));
}

#[test]
fn what_is_not_right_is_refused_with_its_line() {
    let device_line = format!("from = [\"device:{}\"]", device(3));
    let cases = [
        (ECHO.replace("\"group:tv\"", ""), "from nobody", 2),
        (
            ECHO.replace("group:tv", "group:radio"),
            "no group \"radio\"",
            2,
        ),
        (ECHO.replace("group:tv", "group:"), "1 to 64 letters", 4),
        (ECHO.replace("group:tv", "*"), "is none of device:<id>", 4),
        (ECHO.replace("group:tv", "device:ABC"), "is no device id", 4),
        (ECHO.replace("group:tv", "fleet:prod"), "has a path", 4),
        (ECHO.replace("group:tv", "fleet:prod/a*"), "has a path", 4),
        (ECHO.replace("[1401]", "[0]"), "0 is no service id", 5),
        (ECHO.replace("[1401]", "[16777216]"), "is no service id", 5),
        (ECHO.replace("[1401]", "[-1]"), "-1 is no service id", 5),
        (ECHO.replace("[1401]", "[]"), "no service or no method", 2),
        (ECHO.replace("[1401]", "\"all\""), "service is neither", 5),
        (ECHO.replace("[1, 2]", "[0]"), "0 is no method's code", 2),
        (
            ECHO.replace("[1, 2]", "[16777216]"),
            "is no method's code",
            2,
        ),
        (ECHO.replace("[1, 2]", "[-3]"), "-3 is no method's code", 6),
        (
            ECHO.replace("[1, 2]", "[\"echo\"]"),
            "methods is neither",
            6,
        ),
        (ECHO.replace("[1, 2]", "[]"), "no service or no method", 2),
        (ECHO.replace("methods = [1, 2]\n", ""), "missing field", 2),
        (ECHO.replace("methods", "method"), "unknown field", 6),
        (
            ECHO.replace("\"echo\"", "\"a b\""),
            "is not 1 to 64 letters",
            2,
        ),
        (format!("{ECHO}{ECHO}"), "two rules with the id \"echo\"", 8),
        (ECHO.replace("[1401]", "[1401"), "", 6),
        (
            format!("{ECHO}[defaults]\nremote = \"allow\""),
            "can only be \"deny\"",
            8,
        ),
        (
            format!("{ECHO}[[deny]]\nid=\"d\"\n{device_line}\nservice = 1"),
            "service is neither",
            10,
        ),
        (
            "[[test]]\nfrom = \"group:radio\"\nservice = 1\nmethod = 1\nexpect = \"deny\"".into(),
            "not one device or the devices of a group",
            2,
        ),
        (
            "[[test]]\nfrom = \"fleet:prod/*\"\nservice = 1\nmethod = 1\nexpect = \"deny\"".into(),
            "not one device or the devices of a group",
            2,
        ),
        (
            "[[test]]\nfrom = \"trusted\"\nservice = 0\nmethod = 1\nexpect = \"deny\"".into(),
            "0 is no service id",
            3,
        ),
    ];
    for (text, says, at) in cases {
        let (fault, line) = fault(&text);
        assert!(
            fault.to_string().contains(says),
            "{fault} does not say {says:?}"
        );
        assert_eq!(line, Some(at), "{fault}: {text}");
    }
}

#[test]
fn another_version_is_said_before_its_keys_are_looked_at() {
    let error = Policy::parse("# later\nversion = 2\n[[quota]]").unwrap_err();
    assert_eq!(error.fault, PolicyFault::Version { found: 2, known: 1 });
    assert_eq!(error.line, Some(2));
    assert!(Policy::parse("").is_err());
    assert!(Policy::parse("version = 1\n[defaults]\nremote = \"deny\"").is_ok());
}

#[test]
fn every_limit_holds_to_the_last_one() {
    let rules = |count: usize| {
        (0..count).fold(Policy::builder(), |builder, number| {
            let rule = Rule::allow(&format!("r{number}")).from(Subject::Trusted);
            builder.rule(rule.every_service().every_method())
        })
    };
    assert!(rules(Policy::MAX_RULES).build().is_ok());
    let too_many = rules(Policy::MAX_RULES + 1).build().unwrap_err();
    assert_eq!(too_many.to_string(), "1025 rules, at most 1024 are taken");

    let listed = |count: u32| {
        let rule = Rule::allow("r").from(Subject::Trusted).every_service();
        Policy::builder().rule(rule.methods(1..=count)).build()
    };
    assert!(listed(Policy::MAX_LISTED as u32).is_ok());
    assert!(listed(Policy::MAX_LISTED as u32 + 1).is_err());

    let group = |count: usize| {
        let id = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            DeviceId::from_bytes(bytes)
        };
        Policy::builder().group("g", (0..count).map(id)).build()
    };
    assert!(group(Policy::MAX_GROUP).is_ok());
    assert!(group(Policy::MAX_GROUP + 1).is_err());

    let comment = |length: usize| format!("version = 1\n#{}", "x".repeat(length - 13));
    assert!(Policy::parse(&comment(Policy::MAX_FILE_LEN)).is_ok());
    assert!(Policy::parse(&comment(Policy::MAX_FILE_LEN + 1)).is_err());
}

#[test]
fn a_policy_of_code_is_that_of_the_file() {
    let built = Policy::builder()
        .group("tv", [device(1), device(2)])
        .rule(
            Rule::allow("echo")
                .from(Subject::group("tv"))
                .service(service(1401))
                .methods([1, 2]),
        )
        .rule(Rule::deny("guest").from(Subject::Device(device(2))))
        .build()
        .unwrap();
    let parsed = policy(&format!(
        "{ECHO}[[deny]]\nid = \"guest\"\nfrom = [\"device:{}\"]",
        device(2)
    ));
    for byte in 1..=3 {
        for id in [1401, 1402] {
            assert_eq!(
                built.access(&who(byte), service(id)),
                parsed.access(&who(byte), service(id))
            );
        }
    }
    let nothing_said = Rule::allow("r").from(Subject::Trusted);
    for rule in [
        nothing_said.clone().every_service(),
        nothing_said.clone().every_method(),
        nothing_said,
    ] {
        let error = Policy::builder().rule(rule).build().unwrap_err();
        assert_eq!(error.fault, PolicyFault::AboutNothing("r".into()));
        assert_eq!(error.line, None);
    }
}

#[test]
fn a_denial_narrowed_to_a_service_or_a_method_denies_no_more() {
    let denied = |rule: Rule| {
        let all = Rule::allow("all").from(Subject::Trusted);
        Policy::builder()
            .rule(all.every_service().every_method())
            .rule(rule.from(Subject::Trusted))
            .build()
            .unwrap()
    };
    let all = denied(Rule::deny("d"));
    assert_eq!(all.access(&who(1), service(1)), Access::Nothing);
    let one = denied(Rule::deny("d").service(service(1)).service(service(2)));
    assert_eq!(one.access(&who(1), service(1)), Access::Nothing);
    assert_eq!(one.access(&who(1), service(2)), Access::Nothing);
    assert!(one.access(&who(1), service(3)).admits(1));
    let method = denied(Rule::deny("d").methods([1]).methods([2]));
    assert_eq!(
        method.access(&who(1), service(3)),
        Access::AllBut([1, 2].into())
    );
}

#[derive(Clone, Debug)]
struct AnyRule {
    allows: bool,
    from: Subject,
    service: Option<u32>,
    methods: Vec<u32>,
}

fn any_rule() -> impl Strategy<Value = AnyRule> {
    let subject = prop_oneof![
        Just(Subject::Trusted),
        (1u8..4).prop_map(|byte| Subject::Device(device(byte))),
        Just(Subject::group("tv")),
        Just("fleet:prod/kiosk/*".parse().unwrap()),
    ];
    let service = proptest::option::of(1u32..3);
    let methods = proptest::collection::vec(1u32..4, 0..3);
    (any::<bool>(), subject, service, methods).prop_map(|(allows, from, service, methods)| {
        AnyRule {
            allows,
            from,
            service,
            methods,
        }
    })
}

fn build(rules: &[AnyRule]) -> Policy {
    let group = Policy::builder().group("tv", [device(1), device(2)]);
    let add = |builder: softbus_certs::PolicyBuilder, (index, rule): (usize, &AnyRule)| {
        let id = format!("r{index}");
        let made = if rule.allows {
            Rule::allow(&id)
        } else {
            Rule::deny(&id)
        };
        let made = made.from(rule.from.clone());
        let made = match rule.service {
            Some(id) => made.service(service(id)),
            None => made.every_service(),
        };
        builder.rule(if rule.methods.is_empty() {
            made.every_method()
        } else {
            made.methods(rule.methods.clone())
        })
    };
    rules.iter().enumerate().fold(group, add).build().unwrap()
}

/// Every question these rules can tell apart.
fn questions() -> impl Iterator<Item = (Principal, ServiceId, u32)> {
    let callers = (1..4).map(who).chain([member(3, "prod", "kiosk/1")]);
    callers.flat_map(|who| {
        (1..3).flat_map(move |id| {
            let who = who.clone();
            (1..5).map(move |method| (who.clone(), service(id), method))
        })
    })
}

proptest! {
    #[test]
    fn the_order_of_rules_means_nothing(
        mut rules in proptest::collection::vec(any_rule(), 0..8),
        seed in any::<usize>(),
    ) {
        let policy = build(&rules);
        if !rules.is_empty() {
            let by = seed % rules.len();
            rules.rotate_left(by);
        }
        let turned = build(&rules);
        for (who, service, method) in questions() {
            prop_assert_eq!(policy.access(&who, service), turned.access(&who, service));
            prop_assert_eq!(
                policy.explain(&who, service, method).allowed(),
                policy.access(&who, service).admits(method)
            );
        }
    }

    #[test]
    fn one_more_denial_never_allows_and_one_more_rule_never_denies(
        rules in proptest::collection::vec(any_rule(), 0..8),
        more in any_rule(),
    ) {
        let before = build(&rules);
        let after = build(&[rules, vec![more.clone()]].concat());
        for (who, service, method) in questions() {
            let was = before.access(&who, service).admits(method);
            let is = after.access(&who, service).admits(method);
            let holds = if more.allows { is || !was } else { was || !is };
            prop_assert!(holds);
        }
    }
}

const REGISTER: &str = r#"
[[register]]
id = "echo-by-1000"
service = [1401]
user = [1000]
distributed = true
[[register]]
id = "local-by-all"
service = [1402]
user = "*"
"#;

#[test]
fn what_may_be_registered_is_what_a_rule_says_if_there_is_one() {
    let may = |policy: &Policy, id, user| {
        [false, true].map(|distributed| policy.may_register(service(id), user, distributed))
    };
    assert_eq!(may(&policy(ECHO), 1401, 7), [true, true]);
    let ruled = policy(REGISTER);
    assert_eq!(ruled.registration_count(), 2);
    assert_eq!(may(&ruled, 1401, 1000), [true, true]);
    assert_eq!(may(&ruled, 1401, 1001), [false, false]);
    assert_eq!(may(&ruled, 1402, 1001), [true, false]);
    assert_eq!(may(&ruled, 1403, 1000), [false, false]);
    let all = RegisterRule::new("all").every_service().every_user();
    let all = Policy::builder().register(all).build().unwrap();
    assert_eq!(may(&all, 1403, 7), [true, false]);
}

/// What is registered already is called no more when a policy comes that says so.
#[test]
fn what_may_not_be_distributed_is_called_by_no_other_device() {
    let rule = "[[rule]]\nid = \"all\"\nfrom = [\"trusted\"]\nservice = \"*\"\nmethods = \"*\"\n";
    let policy = policy(&format!("{rule}{REGISTER}"));
    assert!(policy.access(&who(1), service(1401)).admits(1));
    for id in [1402, 1403] {
        assert_eq!(policy.access(&who(1), service(id)), Access::Nothing);
        let explained = policy.explain(&who(1), service(id), 1);
        assert_eq!(explained.reason, Reason::NotDistributed);
        assert!(!explained.allowed() && explained.rules().is_empty());
        let text = "denied: no register rule lets the service be distributed";
        assert_eq!(explained.to_string(), text);
    }
}

#[test]
fn a_register_rule_that_is_not_right_is_refused_with_its_line() {
    let rule = |rest: &str| fault(&format!("[[register]]\nid = \"r\"\n{rest}"));
    let nobody = PolicyFault::FromNobody("r".into());
    assert_eq!(rule("service = [1]\nuser = []"), (nobody, Some(1)));
    let nothing = PolicyFault::AboutNothing("r".into());
    assert_eq!(rule("service = []\nuser = [1]"), (nothing, Some(1)));
    let user = PolicyFault::BadUser(-1);
    assert_eq!(rule("service = [1]\nuser = [-1]"), (user, Some(4)));
    let list = PolicyFault::BadList("user");
    assert_eq!(rule("service = [1]\nuser = \"root\""), (list, Some(4)));
    let twice = format!("{REGISTER}{}", ECHO.replace("\"echo\"", "\"local-by-all\""));
    let same = PolicyFault::SameId("local-by-all".into());
    assert_eq!(fault(&twice).0, same);
    let unknown = rule("service = [1]\nuser = [1]\nwho = 1").0;
    assert!(matches!(unknown, PolicyFault::Syntax(_)), "{unknown}");
}

#[test]
fn limits_and_counts_are_these() {
    assert_eq!(Policy::MAX_FILE_LEN, 1 << 20);
    assert_eq!((Policy::MAX_RULES, Policy::MAX_LISTED), (1024, 1024));
    assert_eq!(Policy::MAX_GROUP, 4096);
    let deny = |id: &str| format!("[[deny]]\nid = \"{id}\"\nfrom = [\"trusted\"]\n");
    let another = ECHO.replace("\"echo\"", "\"echo-too\"");
    let denials = ["a", "b", "c"].map(deny).concat();
    let policy = policy(&format!("{ECHO}{another}{denials}{REGISTER}"));
    assert_eq!((policy.rule_count(), policy.denial_count()), (2, 3));
}
