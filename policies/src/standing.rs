//! Standing permissions: changes that need no request as long as they stay within bounds.

use model::agreement::StandingPermission;
use model::{Agreement, Decimal, Edit, Text, Timestamp};

use crate::timing::Observed;

/// A standing permission that names the attribute, and whether the change stays within it.
#[derive(Debug, Clone)]
pub(crate) struct Permission {
    pub id: String,
    pub allowed: bool,
    pub why: Text,
}

/// Every standing permission over the attribute, in the agreement's order.
pub(crate) fn permissions(
    agreement: &Agreement,
    edit: &Edit,
    observed: &Observed,
    recent: u32,
) -> Vec<Permission> {
    let covers = |permission: &&StandingPermission| {
        permission.scope.covers(&edit.object)
            && permission.attributes.iter().any(|p| p.matches(edit.object.class(), &edit.attribute))
    };
    agreement.standing.iter().filter(covers).map(|p| judge(p, edit, observed, recent)).collect()
}

fn judge(permission: &StandingPermission, edit: &Edit, observed: &Observed, recent: u32) -> Permission {
    let id = &permission.id;
    let allowed = |allowed: bool, en: String, zh: String| {
        let why = Text::new(format!("Standing permission {id} {en}."), format!("常设许可 {id} {zh}。"));
        Permission { id: id.clone(), allowed, why }
    };
    let bounds = bounds(permission);
    let value = edit.new.as_ref().and_then(|value| value.as_text());
    let Some(value) = value.filter(|value| within(permission, value)) else {
        let got = crate::sentence::value(&edit.new, "none");
        return allowed(
            false,
            format!("allows {bounds}, observed {got}"),
            format!("允许 {bounds}，观测到 {got}"),
        );
    };
    let (used, most) = (recent.saturating_add(1), permission.changes_per_day);
    if used > most {
        return allowed(
            false,
            format!("allows {most} changes in 24 hours, this is number {used}"),
            format!("24 小时内允许 {most} 次变更，此为第 {used} 次"),
        );
    }
    if let Some((from, to)) = permission.from_minute.zip(permission.to_minute)
        && !may_fall_between(observed, from, to)
    {
        let (from, to) = (clock(from), clock(to));
        return allowed(
            false,
            format!("allows changes between {from} and {to} UTC, observed at {}", observed.read),
            format!("允许在 UTC {from} 至 {to} 之间变更，观测时间 {}", observed.read),
        );
    }
    allowed(
        true,
        format!("allows {bounds}: {value} is change {used} of {most} in 24 hours"),
        format!("允许 {bounds}：{value} 为 24 小时内第 {used} 次变更，上限 {most} 次"),
    )
}

fn within(permission: &StandingPermission, value: &str) -> bool {
    if permission.values.iter().any(|allowed| allowed == value) {
        return true;
    }
    if permission.min.is_none() && permission.max.is_none() {
        return false;
    }
    let Some(number) = Decimal::parse(value) else { return false };
    // An end that is no number bounds nothing it should: then nothing is within.
    let holds = |end: &Option<String>, test: fn(Decimal, Decimal) -> bool| match end {
        None => true,
        Some(end) => Decimal::parse(end).is_some_and(|end| test(number, end)),
    };
    holds(&permission.min, |n, end| n >= end) && holds(&permission.max, |n, end| n <= end)
}

fn bounds(permission: &StandingPermission) -> String {
    let mut parts = Vec::new();
    match (&permission.min, &permission.max) {
        (Some(min), Some(max)) => parts.push(format!("{min}..{max}")),
        (Some(min), None) => parts.push(format!("≥ {min}")),
        (None, Some(max)) => parts.push(format!("≤ {max}")),
        (None, None) => {}
    }
    parts.extend(permission.values.iter().cloned());
    parts.join(" | ")
}

const MINUTE: i64 = 60_000;
const MINUTES_OF_A_DAY: i64 = 1440;

/// Whether some moment of the interval of observation falls between two minutes of the day, end exclusive.
fn may_fall_between(observed: &Observed, from: u16, to: u16) -> bool {
    let inside = |time: Timestamp| {
        let minute = time.minute_of_day();
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    };
    let Some(after) = observed.after else { return true };
    let first = after.plus_millis(1);
    if observed.read.since(first) >= MINUTES_OF_A_DAY * MINUTE {
        return true;
    }
    let mut time = first;
    while time < observed.read {
        if inside(time) {
            return true;
        }
        time = time.plus_millis(MINUTE);
    }
    inside(observed.read)
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Value;

    fn permission() -> StandingPermission {
        StandingPermission {
            id: "SP-1".into(),
            attributes: vec!["NRSectorCarrier.configuredMaxTxPower".parse().unwrap()],
            scope: model::Scope::default(),
            min: Some("100".into()),
            max: Some("200".into()),
            values: vec!["OFF".into()],
            changes_per_day: 2,
            from_minute: Some(23 * 60),
            to_minute: Some(60),
        }
    }

    fn verdict(new: &str, read: &str, recent: u32) -> bool {
        let object: model::Dn = "NRSectorCarrier=1".parse().unwrap();
        let (old, new) = (Value::from("150"), Value::from(new));
        let edit = Edit::between(&object, "configuredMaxTxPower", Some(&old), Some(&new)).unwrap();
        let read: Timestamp = read.parse().unwrap();
        let observed =
            Observed { after: Some(read.plus_millis(-MINUTE)), read, opened: Some(1), seen_before: false };
        judge(&permission(), &edit, &observed, recent).allowed
    }

    #[test]
    fn range_rate_and_time_all_bound_it() {
        let night = "2026-11-22T23:30:00Z";
        assert!(verdict("200", night, 0));
        assert!(verdict("OFF", night, 1));
        assert!(!verdict("201", night, 0));
        assert!(!verdict("unknown", night, 0));
        assert!(!verdict("180", night, 2));
        assert!(verdict("180", "2026-11-23T00:59:30Z", 0));
        assert!(!verdict("180", "2026-11-23T02:00:00Z", 0));
    }
}
