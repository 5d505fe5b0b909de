//! Pages of a list, newest first: by number near the beginning, by cursor at any depth.

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

/// The place of the last entry of a page, as a client carries it to the next one.
pub type Cursor = (u64, u32);

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

/// Writes a cursor.
pub fn write_cursor((major, minor): Cursor) -> String {
    format!("{major:016x}{minor:08x}")
}

/// Reads a cursor.
///
/// # Errors
/// When it is not of the form that a page's `next_cursor` has.
pub fn read_cursor(text: &str) -> Result<Cursor, CursorError> {
    let digits = text.len() == 24 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (major, minor) = text.split_at_checked(16).filter(|_| digits).ok_or(CursorError)?;
    let major = u64::from_str_radix(major, 16).map_err(|_| CursorError)?;
    let minor = u32::from_str_radix(minor, 16).map_err(|_| CursorError)?;
    Ok((major, minor))
}

/// Takes one page out of a list. `after` gives the list's entries older than a cursor (all of them for `None`), newest first, each with its
/// place.
pub fn paginate<'a, T: 'a, I>(
    query: PageQuery,
    after: impl Fn(Option<Cursor>) -> I,
    is_wanted: impl Fn(&T) -> bool,
) -> Page<&'a T>
where
    I: Iterator<Item = (Cursor, &'a T)>,
{
    let (total, total_is_capped) = count(after(None), &is_wanted);
    let mut to_skip = if query.cursor.is_some() { 0 } else { (query.page - 1) * query.page_size };
    let mut items = Vec::new();
    let mut next_cursor = None;
    let mut last = None;
    for (looked_at, (place, entry)) in after(query.cursor).enumerate() {
        if items.len() == query.page_size || looked_at == LOOKED_AT_MAX {
            next_cursor = last.map(write_cursor);
            break;
        }
        last = Some(place);
        if !is_wanted(entry) {
            continue;
        }
        if to_skip > 0 {
            to_skip -= 1;
            continue;
        }
        items.push(entry);
    }
    Page { items, total, total_is_capped, next_cursor }
}

/// How many are wanted, and whether the count stopped before it knew.
fn count<'a, T: 'a>(entries: impl Iterator<Item = (Cursor, &'a T)>, is_wanted: impl Fn(&T) -> bool) -> (usize, bool) {
    let mut total = 0;
    for (looked_at, (_, entry)) in entries.enumerate() {
        if looked_at == LOOKED_AT_MAX {
            return (total, true);
        }
        if is_wanted(entry) {
            if total == TOTAL_MAX {
                return (total, true);
            }
            total += 1;
        }
    }
    (total, false)
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
        paginate(query, after, wanted)
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
            query.cursor = Some(read_cursor(&cursor).unwrap());
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
            query.cursor = Some(read_cursor(&cursor).unwrap());
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
        assert_eq!(read_cursor(&write_cursor((u64::MAX, 7))), Ok((u64::MAX, 7)));
        for text in ["", "abc", "zzzzzzzzzzzzzzzzzzzzzzzz", "é23456789012345678901234"] {
            assert_eq!(read_cursor(text), Err(CursorError), "{text}");
        }
    }
}
