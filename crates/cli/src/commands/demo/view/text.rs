//! Text of an exact width, and colour.

#[derive(Clone, Copy)]
pub enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// Exactly so many characters: cut, or filled with spaces. Control characters, which a name could bring, become `?`.
pub fn fit(text: &str, width: usize, right: bool) -> String {
    let cut: String = text.chars().take(width).map(|c| if c.is_control() { '?' } else { c }).collect();
    if right { format!("{cut:>width$}") } else { format!("{cut:<width$}") }
}

pub fn paint(text: &str, paint: Paint, colour: bool) -> String {
    let code = match paint {
        Paint::Plain => return text.to_owned(),
        _ if !colour || text.is_empty() => return text.to_owned(),
        Paint::Bold => 1,
        Paint::Dim => 2,
        Paint::Red => 31,
        Paint::Green => 32,
        Paint::Yellow => 33,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
