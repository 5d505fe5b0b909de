//! Pages of a list, newest first: by number near the beginning, by cursor at any depth.

use std::convert::Infallible;

/// Entries that one filtered request looks at.
const LOOKED_AT_MAX: usize = 50_000;
/// Up to here `total` is exact.
const TOTAL_MAX: usize = 10_000;

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery {
    /// From 1.
    pub page: usize,
    /// From 1 to 200.
    pub page_size: usize,
    /// Go on after this entry instead of counting pages.
    pub cursor: Option<Cursor>,
}

/// The place of the last entry of a page, as a client carries it to the next one, with the name of its list.
pub type Cursor = (u64, u32);

/// Which list a cursor is of. The letter is what clients hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the list of that name")]
pub enum ListName {
    Deliveries = b'd',
    Events = b'e',
    Keys = b'k',
    Logs = b'l',
    Types = b't',
    Webhooks = b'w',
    Workspaces = b's',
    Explanations = b'x',
}

/// A text that no page ever had as its `nextCursor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this list; take nextCursor from the page before")]
pub struct CursorError;

/// One page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its entries, newest first.
    pub items: Vec<T>,
    /// Entries of the whole list, exact up to 10,000.
    pub total: usize,
    /// There are more than `total` says, or may be.
    pub total_is_capped: bool,
    /// Where the next page begins; `None` at the end of the list.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        let items = self.items.into_iter().map(f).collect();
        Page { items, total: self.total, total_is_capped: self.total_is_capped, next_cursor: self.next_cursor }
    }
}

impl<T> Page<T> {
    /// The same page of things that have to be got.
    pub(crate) fn try_map<U, E>(self, f: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let Page { items, total, total_is_capped, next_cursor } = self;
        let items = items.into_iter().map(f).collect::<Result<_, _>>()?;
        Ok(Page { items, total, total_is_capped, next_cursor })
    }
}

impl<T> Page<Option<T>> {
    /// The same page without what is not there.
    pub(super) fn flatten(self) -> Page<T> {
        let Page { items, total, total_is_capped, next_cursor } = self;
        Page { items: items.into_iter().flatten().collect(), total, total_is_capped, next_cursor }
    }
}

/// Writes a cursor.
pub fn write_cursor(list: ListName, (major, minor): Cursor) -> String {
    format!("{}{major:016x}{minor:08x}", char::from(list as u8))
}

/// Reads a cursor.
///
/// # Errors
/// When it is not of the form that a `next_cursor` of this list has.
pub fn read_cursor(list: ListName, text: &str) -> Result<Cursor, CursorError> {
    let text = text.strip_prefix(char::from(list as u8)).ok_or(CursorError)?;
    let digits = text.len() == 24 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (major, minor) = text.split_at_checked(16).filter(|_| digits).ok_or(CursorError)?;
    let major = u64::from_str_radix(major, 16).map_err(|_| CursorError)?;
    let minor = u32::from_str_radix(minor, 16).map_err(|_| CursorError)?;
    Ok((major, minor))
}

/// Takes one page out of a list in RAM. `after` gives the list's entries older than a cursor (all of them for `None`), newest first, each
/// with its place.
pub fn paginate<'a, T: 'a, I>(
    list: ListName,
    query: PageQuery,
    after: impl Fn(Option<Cursor>) -> I,
    is_wanted: impl Fn(&T) -> bool,
) -> Page<&'a T>
where
    I: Iterator<Item = (Cursor, &'a T)>,
{
    let step = |before, max| Ok::<_, Infallible>(after(before).take(max).collect());
    let wants = |entry: &mut &T| Ok(if is_wanted(entry) { Wanted::Yes } else { Wanted::No });
    match paginate_in_steps(list, query, step, wants) {
        Ok(page) => page,
        Err(never) => match never {},
    }
}

/// What a list makes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is one of those that were asked for.
    Yes,
    /// It is not.
    No,
    /// It is not, and neither is any older one.
    NoMore,
}

/// Takes one page out of a list that is read in steps. `step` gives about as many of the list's entries older than a cursor as it is asked
/// for, newest first, each with its place; none at the end of the list.
///
/// # Errors
/// When an entry cannot be read.
pub fn paginate_in_steps<T, E>(
    list: ListName,
    query: PageQuery,
    mut step: impl FnMut(Option<Cursor>, usize) -> Result<Vec<(Cursor, T)>, E>,
    mut wants: impl FnMut(&mut T) -> Result<Wanted, E>,
) -> Result<Page<T>, E> {
    let (mut total, mut total_is_capped) = (0, false);
    walk(None, STEP, &mut step, |_, mut entry| {
        match wants(&mut entry)? {
            Wanted::Yes if total == TOTAL_MAX => total_is_capped = true,
            Wanted::Yes => total += 1,
            Wanted::No => {}
            Wanted::NoMore => return Ok(false),
        }
        Ok(!total_is_capped)
    })
    .map(|end| total_is_capped |= end == End::LookedAtEnough)?;

    let mut to_skip = if query.cursor.is_some() { 0 } else { (query.page - 1) * query.page_size };
    let mut items = Vec::new();
    let (mut last, mut is_more) = (None, false);
    let end = walk(query.cursor, (to_skip + query.page_size + 1).min(STEP), &mut step, |place, mut entry| {
        if items.len() == query.page_size {
            is_more = true;
            return Ok(false);
        }
        match wants(&mut entry)? {
            Wanted::NoMore => return Ok(false),
            Wanted::No => {}
            Wanted::Yes if to_skip > 0 => to_skip -= 1,
            Wanted::Yes => items.push(entry),
        }
        last = Some(place);
        Ok(true)
    })?;
    let next = last.filter(|_| is_more || end == End::LookedAtEnough);
    Ok(Page { items, total, total_is_capped, next_cursor: next.map(|place| write_cursor(list, place)) })
}

/// Entries that a long walk asks for at once.
const STEP: usize = 1_024;

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was told to, or came to the list's end.
    Reached,
    /// It has looked at as many entries as one request may, and there are more.
    LookedAtEnough,
}

/// Hands the entries older than `from` to `each` until it says false.
fn walk<T, E>(
    from: Option<Cursor>,
    step_entries: usize,
    step: &mut impl FnMut(Option<Cursor>, usize) -> Result<Vec<(Cursor, T)>, E>,
    mut each: impl FnMut(Cursor, T) -> Result<bool, E>,
) -> Result<End, E> {
    let (mut before, mut looked_at) = (from, 0);
    loop {
        let entries = step(before, step_entries)?;
        let Some((last, _)) = entries.last() else { return Ok(End::Reached) };
        before = Some(*last);
        for (place, entry) in entries {
            if looked_at == LOOKED_AT_MAX {
                return Ok(End::LookedAtEnough);
            }
            looked_at += 1;
            if !each(place, entry)? {
                return Ok(End::Reached);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(n: u64) -> Vec<(Cursor, u64)> {
        (0..n).rev().map(|i| ((i, 0), i)).collect()
    }

    fn page_of(entries: &[(Cursor, u64)], query: PageQuery, wanted: impl Fn(&u64) -> bool) -> Page<&u64> {
        let after = |cursor: Option<Cursor>| {
            entries.iter().filter(move |(at, _)| cursor.is_none_or(|c| *at < c)).map(|(at, entry)| (*at, entry))
        };
        paginate(ListName::Events, query, after, wanted)
    }

    #[test]
    fn walking_by_cursor_sees_every_entry_once_and_ends() {
        let entries = list(101);
        let mut query = PageQuery { page: 1, page_size: 10, cursor: None };
        let mut seen = Vec::new();
        for _ in 0..20 {
            let page = page_of(&entries, query, |n| n % 2 == 0);
            assert_eq!((page.total, page.total_is_capped), (51, false));
            seen.extend(page.items.into_iter().copied());
            let Some(cursor) = page.next_cursor else { break };
            query.cursor = Some(read_cursor(ListName::Events, &cursor).unwrap());
        }
        assert_eq!(seen, (0..=50).rev().map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_by_number_skips_the_pages_before_it() {
        let entries = list(25);
        let page = page_of(&entries, PageQuery { page: 3, page_size: 10, cursor: None }, |_| true);
        assert_eq!(page.items, [&4, &3, &2, &1, &0]);
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn a_rare_entry_far_down_makes_a_short_page_that_goes_on() {
        let entries = list(120_000);
        let mut query = PageQuery { page: 1, page_size: 10, cursor: None };
        let mut pages = 0;
        let mut seen = Vec::new();
        loop {
            let page = page_of(&entries, query, |n| *n == 5);
            pages += 1;
            assert!(page.total_is_capped);
            seen.extend(page.items.into_iter().copied());
            let Some(cursor) = page.next_cursor else { break };
            query.cursor = Some(read_cursor(ListName::Events, &cursor).unwrap());
        }
        assert_eq!((pages, seen), (3, vec![5]));
    }

    #[test]
    fn the_total_is_exact_up_to_ten_thousand() {
        let query = PageQuery { page: 1, page_size: 1, cursor: None };
        let of = |n| {
            let entries = list(n);
            let page = page_of(&entries, query, |_| true);
            (page.total, page.total_is_capped)
        };
        assert_eq!(of(10_000), (10_000, false));
        assert_eq!(of(10_001), (10_000, true));
    }

    #[test]
    fn a_cursor_reads_back_and_garbage_does_not() {
        let written = write_cursor(ListName::Logs, (u64::MAX, 7));
        assert_eq!(read_cursor(ListName::Logs, &written), Ok((u64::MAX, 7)));
        assert_eq!(read_cursor(ListName::Events, &written), Err(CursorError), "it is of another list");
        for text in ["", "abc", "ezzzzzzzzzzzzzzzzzzzzzzzz", "eé23456789012345678901234", "e0000000000000007000000"] {
            assert_eq!(read_cursor(ListName::Events, text), Err(CursorError), "{text}");
        }
    }
}
