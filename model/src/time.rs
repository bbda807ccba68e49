//! Points in time, always an argument here: this room has no clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: `{0}`; hint: RFC 3339 with an offset, such as 2026-11-22T02:00:00Z")]
pub struct InvalidTime(pub String);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// For the chain, whose times are unsigned; a time before 1970 becomes 0.
    pub fn to_unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// From the chain; a time past the year 292 million saturates.
    pub fn from_unsigned(millis: u64) -> Timestamp {
        Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    pub fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`, negative if `self` is before it.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Minute of the day in UTC, 0 to 1439; standing permissions are bounded by it.
    pub fn minute_of_day(self) -> u16 {
        let minute = self.0.rem_euclid(86_400_000) / 60_000;
        u16::try_from(minute).expect("a day has 1440 minutes")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "@{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTime(text.chars().take(60).collect()))?;
        Ok(Timestamp(time.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc_3339_in_utc() {
        let time: Timestamp = "2026-11-22T10:00:00.250+08:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T02:00:00.25Z");
        assert_eq!(time.minute_of_day(), 120);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
