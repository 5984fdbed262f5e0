//! The file of a policy: TOML, taken as a whole or not at all.

use std::collections::BTreeMap;
use std::str::FromStr;

use proto::{DeviceId, ServiceId};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::{
    Policy, PolicyBuilder, PolicyError, PolicyFault, Principal, RegisterRule, Rule, Subject,
    error::at_most,
};

const VERSION: i64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    groups: BTreeMap<String, Vec<Spanned<String>>>,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<RuleTable>>,
    #[serde(default, rename = "deny")]
    denials: Vec<Spanned<DenyTable>>,
    #[serde(default, rename = "register")]
    registrations: Vec<Spanned<RegisterTable>>,
    #[serde(default, rename = "test")]
    tests: Vec<Spanned<TestTable>>,
}

/// Read on its own first, because a later version may have keys that [`Document`] refuses.
#[derive(Deserialize)]
struct Version {
    version: Spanned<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    remote: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    id: String,
    from: Vec<Spanned<String>>,
    service: Spanned<Value>,
    methods: Spanned<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyTable {
    id: String,
    from: Vec<Spanned<String>>,
    service: Option<Spanned<Value>>,
    methods: Option<Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterTable {
    id: String,
    user: Spanned<Value>,
    service: Spanned<Value>,
    #[serde(default)]
    distributed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestTable {
    from: Spanned<String>,
    service: Spanned<i64>,
    method: u32,
    expect: Expect,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
}

pub(super) fn parse(text: &str) -> Result<Policy, PolicyError> {
    let at_most_bytes = at_most("bytes", Policy::MAX_FILE_LEN, text.len());
    at_most_bytes?;
    let lines = Lines(text);
    let version: Version = lines.read()?;
    if *version.version.get_ref() != VERSION {
        let fault = PolicyFault::Version {
            found: *version.version.get_ref(),
            known: VERSION,
        };
        return Err(fault.at(lines.of(&version.version)));
    }
    let document: Document = lines.read()?;
    if let Some(remote) = &document.defaults.remote
        && remote.get_ref() != "deny"
    {
        return Err(PolicyFault::RemoteDefault.at(lines.of(remote)));
    }
    let mut builder = Policy::builder();
    for (name, devices) in &document.groups {
        builder = group(builder, lines, name, devices)?;
    }
    for table in &document.rules {
        builder = builder.rule(rule(lines, table)?);
    }
    for table in &document.denials {
        builder = builder.rule(denial(lines, table)?);
    }
    for table in &document.registrations {
        builder = builder.register(registration(lines, table)?);
    }
    at_most("tests", Policy::MAX_RULES, document.tests.len())?;
    let policy = builder.build()?;
    for table in &document.tests {
        let fault = test(&policy, lines, table)?;
        fault.map_or(Ok(()), |fault| Err(fault.at(lines.of(table))))?;
    }
    Ok(policy)
}

/// The text, to say where something stands in it.
#[derive(Clone, Copy)]
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn read<T: for<'de> Deserialize<'de>>(self) -> Result<T, PolicyError> {
        toml::from_str(self.0).map_err(|error| {
            let line = error.span().map(|span| self.at(span.start));
            PolicyFault::Syntax(error.message().to_owned()).at(line)
        })
    }

    fn of<T>(self, spanned: &Spanned<T>) -> Option<usize> {
        Some(self.at(spanned.span().start))
    }

    fn at(self, offset: usize) -> usize {
        let before = self.0.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn parse<T>(self, text: &Spanned<String>) -> Result<T, PolicyError>
    where
        T: FromStr<Err = super::ParseSubjectError>,
    {
        text.get_ref().parse().map_err(|reason| {
            let text_there = text.get_ref().clone();
            let fault = PolicyFault::BadSubject {
                text: text_there,
                reason,
            };
            fault.at(self.of(text))
        })
    }
}

fn group(
    builder: PolicyBuilder,
    lines: Lines<'_>,
    name: &str,
    devices: &[Spanned<String>],
) -> Result<PolicyBuilder, PolicyError> {
    let device = |text: &Spanned<String>| {
        text.get_ref().parse::<DeviceId>().map_err(|error| {
            let fault = PolicyFault::BadSubject {
                text: text.get_ref().clone(),
                reason: error.into(),
            };
            fault.at(lines.of(text))
        })
    };
    let devices: Result<Vec<_>, _> = devices.iter().map(device).collect();
    Ok(builder.group(name, devices?))
}

fn rule(lines: Lines<'_>, table: &Spanned<RuleTable>) -> Result<Rule, PolicyError> {
    let RuleTable {
        id,
        from,
        service,
        methods,
    } = table.get_ref();
    let rule = Rule::allow(id).at_line(lines.at(table.span().start));
    let rule = subjects(rule, lines, from)?;
    methods_of(services_of(rule, lines, service)?, lines, methods)
}

fn denial(lines: Lines<'_>, table: &Spanned<DenyTable>) -> Result<Rule, PolicyError> {
    let DenyTable {
        id,
        from,
        service,
        methods,
    } = table.get_ref();
    let rule = Rule::deny(id).at_line(lines.at(table.span().start));
    let mut rule = subjects(rule, lines, from)?;
    if let Some(service) = service {
        rule = services_of(rule, lines, service)?;
    }
    if let Some(methods) = methods {
        rule = methods_of(rule, lines, methods)?;
    }
    Ok(rule)
}

fn subjects(rule: Rule, lines: Lines<'_>, from: &[Spanned<String>]) -> Result<Rule, PolicyError> {
    from.iter()
        .try_fold(rule, |rule, text| Ok(rule.from(lines.parse(text)?)))
}

fn registration(
    lines: Lines<'_>,
    table: &Spanned<RegisterTable>,
) -> Result<RegisterRule, PolicyError> {
    let RegisterTable {
        id,
        user: users,
        service: services,
        distributed,
    } = table.get_ref();
    let rule = RegisterRule::new(id).at_line(lines.at(table.span().start));
    let rule = match list(lines, services, "service", service)? {
        Some(services) => rule.services(services),
        None => rule.every_service(),
    };
    let rule = match list(lines, users, "user", user)? {
        Some(users) => rule.users(users),
        None => rule.every_user(),
    };
    Ok(if *distributed {
        rule.distributed()
    } else {
        rule
    })
}

fn services_of(rule: Rule, lines: Lines<'_>, value: &Spanned<Value>) -> Result<Rule, PolicyError> {
    Ok(match list(lines, value, "service", service)? {
        Some(services) => rule.services(services),
        None => rule.every_service(),
    })
}

fn methods_of(rule: Rule, lines: Lines<'_>, value: &Spanned<Value>) -> Result<Rule, PolicyError> {
    let method = |number: i64| u32::try_from(number).map_err(|_| PolicyFault::BadMethod(number));
    Ok(match list(lines, value, "methods", method)? {
        Some(methods) => rule.methods(methods),
        None => rule.every_method(),
    })
}

/// What a list names; `None` is `"*"`.
fn list<T>(
    lines: Lines<'_>,
    value: &Spanned<Value>,
    what: &'static str,
    one: impl Fn(i64) -> Result<T, PolicyFault>,
) -> Result<Option<Vec<T>>, PolicyError> {
    let listed = numbers(value.get_ref(), what).and_then(|numbers| {
        numbers
            .map(|n| n.into_iter().map(one).collect())
            .transpose()
    });
    listed.map_err(|fault| fault.at(lines.of(value)))
}

/// `None` is `"*"`.
fn numbers(value: &Value, what: &'static str) -> Result<Option<Vec<i64>>, PolicyFault> {
    let list = match value {
        Value::String(text) if text == "*" => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(PolicyFault::BadList(what)),
    };
    let number = |value: &Value| value.as_integer().ok_or(PolicyFault::BadList(what));
    list.iter().map(number).collect::<Result<_, _>>().map(Some)
}

fn service(number: i64) -> Result<ServiceId, PolicyFault> {
    let id = u32::try_from(number).ok().and_then(ServiceId::new);
    id.ok_or(PolicyFault::BadService(number))
}

fn user(number: i64) -> Result<u32, PolicyFault> {
    u32::try_from(number).map_err(|_| PolicyFault::BadUser(number))
}

/// What a built-in test finds wrong.
fn test(
    policy: &Policy,
    lines: Lines<'_>,
    table: &Spanned<TestTable>,
) -> Result<Option<PolicyFault>, PolicyError> {
    let TestTable {
        from,
        service: number,
        method,
        expect,
    } = table.get_ref();
    let service = service(*number.get_ref()).map_err(|fault| fault.at(lines.of(number)))?;
    let nobody = || PolicyFault::TestOfNobody(from.get_ref().clone()).at(lines.of(from));
    let who: Vec<_> = match lines.parse(from)? {
        Subject::Device(device) => vec![Principal::device(device)],
        Subject::Group(group) => {
            let devices = policy.groups.get(&group).ok_or_else(nobody)?;
            devices.iter().copied().map(Principal::device).collect()
        }
        Subject::Trusted => vec![Principal::unnamed()],
        Subject::Fleet(pattern) => vec![Principal {
            member: Some(pattern.member().ok_or_else(nobody)?.clone()),
            ..Principal::unnamed()
        }],
    };
    if who.is_empty() {
        return Err(nobody());
    }
    let expected = *expect == Expect::Allow;
    let holds = |who: &Principal| policy.access(who, service).admits(*method) == expected;
    Ok((!who.iter().all(holds)).then(|| PolicyFault::TestFailed {
        from: from.get_ref().clone(),
        service,
        method: *method,
        expected,
    }))
}
