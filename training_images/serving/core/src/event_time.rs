//! Event times: RFC 3339 texts, as nanoseconds since 1970.

use crate::refusal::Refusal;

/// Further in the future than this many nanoseconds an event would move the watermark for good: refused.
const LONGEST_AHEAD: i64 = 86_400 * NANOSECONDS;
const NANOSECONDS: i64 = 1_000_000_000;

/// The event time of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTimes {
    /// Of all rows.
    One(i64),
    Each(Vec<i64>),
}

impl EventTimes {
    pub fn of(&self, row: usize) -> i64 {
        match self {
            EventTimes::One(time) => *time,
            EventTimes::Each(times) => times[row],
        }
    }
}

/// The time of a text, which must not be more than a day after `now`.
pub fn read(sent: &str, now: i64) -> Result<i64, Refusal> {
    match nanoseconds(sent) {
        None => Err(not_a_time(&format!("'{sent}'"))),
        Some(time) if time > now.saturating_add(LONGEST_AHEAD) => {
            Err(Refusal::bad(format!("parameters.event_time: {sent} is more than a day ahead")))
        }
        Some(time) => Ok(time),
    }
}

pub fn not_a_time(shown: &str) -> Refusal {
    let shown: String = shown.chars().take(66).collect();
    Refusal::bad(format!(
        "parameters.event_time: {shown} is no RFC 3339 time: date, time and offset, for example 2009-08-14T20:00:00Z"
    ))
}

/// `2009-08-14T20:00:00Z`, with a space for the T, a fraction, or an offset. Finer than microseconds is cut off.
fn nanoseconds(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let date = text.get(..10)?;
    let time = text.get(11..19)?;
    let separated = [date[4], date[7], text[10], time[2], time[5]];
    if separated != *b"--T::" && separated != *b"-- ::" {
        return None;
    }
    let [year, month, day] = [whole(&date[..4])?, whole(&date[5..7])?, whole(&date[8..])?];
    let [hour, minute, second] = [whole(&time[..2])?, whole(&time[3..5])?, whole(&time[6..])?];
    let (fraction, zone) = fraction(&text[19..])?;
    let offset = offset(zone)?;
    if year < 1 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(NANOSECONDS)?.checked_add(fraction)
}

fn whole(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Nanoseconds of `.123`, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else {
        return Some((0, text));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = rest.split_at(length);
    let micro = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    let value = micro.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    (length > 0).then_some((value * 1000, zone))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (whole(hours)?, whole(&[*m1, *m2])?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of the proleptic Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|one| days_in(year, one)).sum();
    before * 365 + leaps + months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 1_221_436_800 * NANOSECONDS;

    #[test]
    fn ways_to_write_a_time() {
        for (text, found) in [
            ("2008-09-15T00:00:00Z", DAY),
            ("2008-09-15 00:00:00Z", DAY),
            ("2008-09-15T00:00:00.000+00:00", DAY),
            ("2008-09-14T20:00:00-04:00", DAY),
            ("2008-09-15T00:00:00.123456789Z", DAY + 123_456_000),
            ("2008-09-15T00:00:00.5Z", DAY + 500_000_000),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -NANOSECONDS),
            ("2000-02-29T00:00:00Z", 951_782_400 * NANOSECONDS),
        ] {
            assert_eq!(read(text, i64::MAX), Ok(found), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2008-09-15",
            "2008-09-15T00:00:00",
            "20080915T000000Z",
            "2008-09-31T00:00:00Z",
            "2007-02-29T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "1500-01-01T00:00:00Z",
            "2008-09-15T24:00:00Z",
            "2008-09-15T00:00:00.Z",
            "2008-09-15T00:00:00+0000",
            "2008-09-15T00:00:00+24:00",
            "2008-09-15T00:00:00Zx",
            "2008-09-15T00:00:60Z",
            "2008-13-15T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "２008-09-15T00:00:00Z",
        ] {
            let message = read(text, i64::MAX).unwrap_err().message;
            assert!(message.starts_with(&format!("parameters.event_time: '{text}' is no RFC 3339 time")), "{message}");
        }
    }

    #[test]
    fn an_event_is_at_most_a_day_ahead() {
        assert_eq!(read("2008-09-15T00:00:00Z", DAY - LONGEST_AHEAD), Ok(DAY));
        let message = read("2008-09-15T00:00:00Z", DAY - LONGEST_AHEAD - 1).unwrap_err().message;
        assert!(message.ends_with("is more than a day ahead"), "{message}");
    }

    #[test]
    fn every_day_of_four_centuries_comes_after_the_one_before() {
        let mut last = days_since_1970(1599, 12, 31);
        for (year, month) in (1600..2001).flat_map(|year| (1..=12).map(move |month| (year, month))) {
            for day in 1..=days_in(year, month) {
                assert_eq!(days_since_1970(year, month, day), last + 1);
                last += 1;
            }
        }
        assert_eq!(days_since_1970(1970, 1, 1), 0);
    }
}
