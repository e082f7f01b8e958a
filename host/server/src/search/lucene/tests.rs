use super::*;
use crate::search::query::{Bound, Condition, Piece, Query, Test};

/// The tree in one line: `field=test`, `&(..)`, `|(..)`, `-`.
fn shown(query: &Query) -> String {
    let all = |queries: &[Query]| queries.iter().map(shown).collect::<Vec<_>>().join(" ");
    match query {
        Query::All => "all".into(),
        Query::And(queries) => format!("&({})", all(queries)),
        Query::Or(queries) => format!("|({})", all(queries)),
        Query::Not(query) => format!("-{}", shown(query)),
        Query::Condition(Condition { field, test, .. }) => {
            let field = field.as_deref().unwrap_or("_");
            match test {
                Test::Exists => format!("{field}?"),
                Test::Value(text) => format!("{field}={text}"),
                Test::Phrase(text) => format!("{field}={text:?}"),
                Test::Wildcard(pieces) => {
                    let pieces = pieces.iter().map(|piece| match piece {
                        Piece::Text(text) => text.as_str(),
                        Piece::Any => "<*>",
                        Piece::One => "<?>",
                    });
                    format!("{field}={}", pieces.collect::<String>())
                }
                Test::Range { from, to } => {
                    let end = |bound: &Bound| match bound {
                        Bound::Open => "*".to_owned(),
                        Bound::Including(text) => format!("={text}"),
                        Bound::Excluding(text) => format!("!{text}"),
                    };
                    format!("{field}:{}..{}", end(from), end(to))
                }
            }
        }
    }
}

fn tree(text: &str, neighbours: Operator) -> String {
    match parse(text, neighbours) {
        Ok(query) => shown(&query),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn the_syntax_is_lucenes() {
    for (text, expected) in [
        ("", "all"),
        ("  ", "all"),
        ("*", "all"),
        ("*:*", "all"),
        ("web", "_=web"),
        ("a.b:c", "a.b=c"),
        ("a.b: c", "a.b=c"),
        (r#"a:"b c""#, r#"a="b c""#),
        (r#"a:"b \"c\" \\""#, r#"a="b \"c\" \\""#),
        (r#""b* c""#, r#"_="b* c""#),
        ("a:b*c?", "a=b<*>c<?>"),
        ("a:b**c", "a=b<*>c"),
        (r"a:b\*c\ d\:e", "a=b*c d:e"),
        (r"a\:b:c", "a:b=c"),
        ("a:*", "a?"),
        ("a:**", "a?"),
        ("_exists_:a.b", "a.b?"),
        ("_exists_:\"a.b\"", "a.b?"),
        ("a:[1 TO 5]", "a:=1..=5"),
        ("a:{1 TO 5}", "a:!1..!5"),
        ("a:[1 TO 5}", "a:=1..!5"),
        ("a:{1 TO *]", "a:!1..*"),
        ("a:[* TO *]", "a?"),
        (
            "a:[2026-03-01T09:15:00Z TO now-1d/d]",
            "a:=2026-03-01T09:15:00Z..=now-1d/d",
        ),
        (r#"a:["x y" TO "z]"]"#, "a:=x y..=z]"),
        ("a:>=4", "a:=4..*"),
        ("a:>4", "a:!4..*"),
        ("a:<=-4", "a:*..=-4"),
        ("a:< 4", "a:*..!4"),
        ("a:>=2026-03-01T09:15:00Z", "a:=2026-03-01T09:15:00Z..*"),
        ("a:(>=4 AND <5)", "&(a:=4..* a:*..!5)"),
        ("a:(b OR \"c d\" OR e*)", "|(a=b a=\"c d\" a=e<*>)"),
        ("a:(NOT b)", "-a=b"),
        ("a:-5", "a=-5"),
        ("ip:2001:db8::1", "ip=2001:db8::1"),
        (
            "u:https://scanner.example.test/api",
            "u=https://scanner.example.test/api",
        ),
        ("CVE-2026-0001", "_=CVE-2026-0001"),
        ("a:b^2 c^0.5", "|(a=b _=c)"),
        ("(a:b)^2", "a=b"),
        ("\"a b\"^3", "_=\"a b\""),
        ("a AND b OR c AND d", "|(&(_=a _=b) &(_=c _=d))"),
        ("a OR b AND NOT c", "|(_=a &(_=b -_=c))"),
        ("a && !b || c", "|(&(_=a -_=b) _=c)"),
        ("NOT NOT a", "_=a"),
        ("(a OR b) AND c", "&(|(_=a _=b) _=c)"),
        ("NOT(a b)", "-|(_=a _=b)"),
        ("a b", "|(_=a _=b)"),
        ("a AND b c", "|(&(_=a _=b) _=c)"),
        ("+a b -c", "&(_=a -_=c)"),
        ("a b -c", "&(|(_=a _=b) -_=c)"),
        ("a NOT b", "&(_=a -_=b)"),
        ("-a", "-_=a"),
        ("-a -b", "&(-_=a -_=b)"),
        ("a OR -b", "|(_=a -_=b)"),
        ("+a +b:c", "&(_=a b=c)"),
        ("and or ANDROID", "|(_=and _=or _=ANDROID)"),
        ("OR:x", "OR=x"),
        ("größe:\"µ\"", "größe=\"µ\""),
        ("wow! a&b", "|(_=wow! _=a&b)"),
    ] {
        assert_eq!(tree(text, Operator::Or), expected, "{text}");
    }
}

#[test]
fn neighbours_are_joined_as_was_asked() {
    for (text, expected) in [
        ("a b", "&(_=a _=b)"),
        ("a b OR c", "|(&(_=a _=b) _=c)"),
        ("a -b", "&(_=a -_=b)"),
        ("x:(a b)", "&(x=a x=b)"),
    ] {
        assert_eq!(tree(text, Operator::And), expected, "{text}");
    }
}

#[test]
fn a_condition_says_where_it_begins() {
    let Ok(Query::And(conditions)) = parse("ü:1 AND b:2", Operator::Or) else {
        panic!("two conditions");
    };
    let at: Vec<_> = conditions
        .iter()
        .filter_map(|query| match query {
            Query::Condition(condition) => Some(condition.at),
            _ => None,
        })
        .collect();
    assert_eq!(at, [0, 9]);
}

#[test]
fn every_mistake_is_a_sentence_with_its_column() {
    for (text, at, part) in [
        ("a AND", 6, "ends where a condition is expected"),
        ("AND a", 1, "missing before this AND"),
        ("a OR OR b", 6, "missing before this OR"),
        ("NOT", 4, "ends where"),
        ("+", 2, "ends where"),
        ("(a", 1, "not closed"),
        ("a)", 2, "closes nothing"),
        ("()", 2, "missing before this `)`"),
        ("a:()", 4, "missing before this `)`"),
        ("a:", 3, "value for the field a is missing"),
        ("a: AND b", 4, "value for the field a is missing"),
        ("(a:)", 4, "value for the field a is missing"),
        ("a :b", 3, "field's name is missing"),
        (":b", 1, "field's name is missing"),
        ("\"a\":b", 4, "field's name is missing"),
        ("ü:\"b", 3, "quote is not closed"),
        ("a:/x/", 3, "regular expressions"),
        ("/x/", 1, "regular expressions"),
        ("a:x~", 4, "fuzzy"),
        ("\"a b\"~2", 6, "fuzzy"),
        ("~a", 1, "cannot begin"),
        ("a^x", 2, "boost"),
        ("a:[1 5]", 6, "TO is missing"),
        ("a:[1 to 5]", 6, "TO is missing"),
        ("a:[1 TO 5", 10, "`]` or `}` is missing"),
        ("a:[ TO 5]", 3, "lacks an end"),
        ("a:[1 TO ]", 3, "lacks an end"),
        ("a:[1* TO 5]", 4, "no wildcards"),
        ("[1 TO 5]", 1, "needs a field"),
        (">5", 1, "needs a field"),
        ("a:>", 4, "missing here"),
        ("a:>5*", 4, "wildcards"),
        ("a*:b", 1, "no wildcards"),
        ("*:b", 1, "no wildcards"),
        ("a:(b:c)", 4, "colon inside the parentheses"),
        ("a(b)", 2, "in the middle"),
        ("a:b\"c\"", 4, "in the middle"),
        ("a\\", 2, "backslash"),
        ("_exists_:a*", 1, "_exists_:field"),
        ("_exists_:>1", 1, "_exists_:field"),
        ("a ]", 3, "in the middle"),
    ] {
        let error = parse(text, Operator::Or).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_caret_stands_under_the_mistake() {
    let text = "ä:1 AND b:[1 5]";
    let error = parse(text, Operator::Or).expect_err(text);
    assert_eq!(
        error.pointed_at_in(text),
        "  ä:1 AND b:[1 5]\n               ^"
    );
    let long = format!("{}(", "a ".repeat(200));
    let error = parse(&long, Operator::Or).expect_err("an open parenthesis");
    let pointed = error.pointed_at_in(&long);
    let lines: Vec<Vec<char>> = pointed.lines().map(|line| line.chars().collect()).collect();
    let caret = lines[1].len() - 1;
    assert!(lines[0].len() < 130);
    // The query ends behind the parenthesis.
    assert!(caret == lines[0].len() || lines[0][caret] == '(');
}

#[test]
fn depth_conditions_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(DEEPEST_NESTING), Operator::Or).is_ok());
    assert!(parse(&nested(DEEPEST_NESTING + 1), Operator::Or).is_err());
    assert!(parse(&"(".repeat(LONGEST_QUERY), Operator::Or).is_err());
    assert!(parse(&"a ".repeat(MOST_CONDITIONS), Operator::Or).is_ok());
    assert!(parse(&"a ".repeat(MOST_CONDITIONS + 1), Operator::Or).is_err());
    assert!(parse(&"a".repeat(LONGEST_QUERY + 1), Operator::Or).is_err());
    assert!(parse(&format!("{} a", "NOT ".repeat(5_000)), Operator::Or).is_ok());
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

#[test]
fn nothing_that_can_be_typed_panics() {
    const PARTS: &[&str] = &[
        "a",
        "b.c",
        ":",
        "\"",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        " TO ",
        " ",
        " AND ",
        " OR ",
        "NOT ",
        "+",
        "-",
        "!",
        "&&",
        "||",
        "*",
        "?",
        "\\",
        "/",
        "~",
        "^",
        "2",
        ">=",
        "<",
        "=",
        "ü",
        "\u{1F980}",
        "\u{0301}",
        "\n",
        "_exists_",
        "now-1d",
        "\u{0}",
        "AND",
        "TO",
    ];
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut read = 0;
    for _ in 0..60_000 {
        let length = dice.roll(14);
        let text: String = (0..length).map(|_| PARTS[dice.roll(PARTS.len())]).collect();
        for operator in [Operator::Or, Operator::And] {
            match parse(&text, operator) {
                Ok(_) => read += 1,
                Err(error) => {
                    let letters = text.chars().count();
                    assert!((1..=letters + 1).contains(&error.at), "{text:?}: {error}");
                    assert!(error.message.len() > 20, "{text:?}: {error}");
                    error.pointed_at_in(&text);
                }
            }
        }
    }
    assert!(read > 1_000, "{read}");
}

fn made(dice: &mut Dice, depth: usize) -> Query {
    let several = |dice: &mut Dice| -> Vec<Query> {
        let count = 2 + dice.roll(3);
        (0..count).map(|_| made(dice, depth - 1)).collect()
    };
    match dice.roll(if depth == 0 { 1 } else { 4 }) {
        1 => Query::And(several(dice)),
        2 => Query::Or(several(dice)),
        3 => match made(dice, depth - 1) {
            Query::Not(inner) => *inner,
            other => Query::Not(Box::new(other)),
        },
        _ => {
            const TEXTS: [&str; 9] = [
                "a", "b c", "d:e", "f*g", "\"h\\", "(i)", "AND", "-5", "ü[~^/]",
            ];
            let text = |dice: &mut Dice| TEXTS[dice.roll(TEXTS.len())].to_owned();
            let bound = |dice: &mut Dice| match dice.roll(2) {
                0 => Bound::Including(text(dice)),
                _ => Bound::Excluding(text(dice)),
            };
            let test = match dice.roll(5) {
                0 => Test::Exists,
                1 => Test::Value(text(dice)),
                2 => Test::Phrase(text(dice)),
                3 => Test::Wildcard(vec![Piece::Text(text(dice)), Piece::Any, Piece::One]),
                _ => Test::Range {
                    from: bound(dice),
                    to: bound(dice),
                },
            };
            Query::Condition(Condition {
                field: Some(text(dice)),
                test,
                at: 0,
            })
        }
    }
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(|letter| ['\\', letter]).collect()
}

fn written(query: &Query) -> String {
    let inner = |query: &Query| match query {
        Query::Condition(_) => written(query),
        query => format!("({})", written(query)),
    };
    let joined = |queries: &[Query], operator: &str| {
        let queries: Vec<_> = queries.iter().map(inner).collect();
        queries.join(operator)
    };
    match query {
        Query::All => "*:*".into(),
        Query::And(queries) => joined(queries, " AND "),
        Query::Or(queries) => joined(queries, " OR "),
        Query::Not(query) => format!("NOT {}", inner(query)),
        Query::Condition(condition) => {
            let field = escaped(condition.field.as_deref().unwrap_or_default());
            let test = match &condition.test {
                Test::Exists => "*".into(),
                Test::Value(text) => escaped(text),
                Test::Phrase(text) => format!("\"{}\"", escaped(text)),
                Test::Wildcard(pieces) => pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text(text) => escaped(text),
                        Piece::Any => "*".into(),
                        Piece::One => "?".into(),
                    })
                    .collect(),
                Test::Range { from, to } => {
                    let (open, from) = match from {
                        Bound::Excluding(text) => ("{", escaped(text)),
                        Bound::Including(text) => ("[", escaped(text)),
                        Bound::Open => ("[", "*".into()),
                    };
                    let (to, close) = match to {
                        Bound::Excluding(text) => (escaped(text), "}"),
                        Bound::Including(text) => (escaped(text), "]"),
                        Bound::Open => ("*".into(), "]"),
                    };
                    format!("{open}{from} TO {to}{close}")
                }
            };
            format!("{field}:{test}")
        }
    }
}

fn without_places(query: &mut Query) {
    match query {
        Query::All => {}
        Query::And(queries) | Query::Or(queries) => queries.iter_mut().for_each(without_places),
        Query::Not(query) => without_places(query),
        Query::Condition(condition) => condition.at = 0,
    }
}

#[test]
fn a_tree_that_is_written_out_is_read_back_as_it_was() {
    let mut dice = Dice(42);
    for _ in 0..3_000 {
        let query = made(&mut dice, 3);
        let text = written(&query);
        match parse(&text, Operator::Or) {
            Ok(mut read) => {
                without_places(&mut read);
                assert_eq!(read, query, "{text}");
            }
            Err(error) => panic!("{text}: {error}"),
        }
    }
}
