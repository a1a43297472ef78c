//! The domains as a table: name, what it is about, what its levels are, and who makes its items.

use crate::Error;
use crate::domains as make;
use crate::draft::Draft;
use crate::rng::Rng;

/// A kind of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// How many.
    Counting,
    /// Colours, shapes, sizes and places.
    Vqa,
    /// Sums on a picture.
    Arithmetic,
    /// Angles, sides and areas of drawn figures.
    Geometry,
    /// Bars, lines and pies.
    Chart,
    /// Reading.
    Ocr,
    /// Boxes of described objects.
    Grounding,
    /// Relations and depth.
    Spatial,
    /// Screens and what to do on them.
    Gui,
    /// Several pictures.
    Compare,
    /// Short videos.
    Video,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 11] = [
        Self::Counting,
        Self::Vqa,
        Self::Arithmetic,
        Self::Geometry,
        Self::Chart,
        Self::Ocr,
        Self::Grounding,
        Self::Spatial,
        Self::Gui,
        Self::Compare,
        Self::Video,
    ];

    /// Its name in options, ids and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Vqa => "vqa",
            Self::Arithmetic => "arithmetic",
            Self::Geometry => "geometry",
            Self::Chart => "chart",
            Self::Ocr => "ocr",
            Self::Grounding => "grounding",
            Self::Spatial => "spatial",
            Self::Gui => "gui",
            Self::Compare => "compare",
            Self::Video => "video",
        }
    }

    /// The domain of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<Self, Error> {
        let hit = Self::ALL.into_iter().find(|d| d.name() == name);
        hit.ok_or_else(|| Error::Domain {
            name: name.into(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }

    /// The domains of a list of names separated by commas, or every domain for `all`.
    ///
    /// # Errors
    /// If a name is not known.
    pub fn list(names: &str) -> Result<Vec<Self>, Error> {
        match names.trim() {
            "all" => Ok(Self::ALL.to_vec()),
            names => names
                .split(',')
                .map(|name| Self::find(name.trim()))
                .collect(),
        }
    }

    /// What its levels 1 to 5 ask for.
    pub fn levels(self) -> [&'static str; 5] {
        match self {
            Self::Counting => make::counting::LEVELS,
            Self::Vqa => make::vqa::LEVELS,
            Self::Arithmetic => make::arithmetic::LEVELS,
            Self::Geometry => make::geometry::LEVELS,
            Self::Chart => make::chart::LEVELS,
            Self::Ocr => make::ocr::LEVELS,
            Self::Grounding => make::grounding::LEVELS,
            Self::Spatial => make::spatial::LEVELS,
            Self::Gui => make::gui::LEVELS,
            Self::Compare => make::compare::LEVELS,
            Self::Video => make::video::LEVELS,
        }
    }

    /// Everything of an item but its pixels.
    pub(crate) fn draft(self, level: u8, rng: &mut Rng) -> Draft {
        match self {
            Self::Counting => make::counting::draft(level, rng),
            Self::Vqa => make::vqa::draft(level, rng),
            Self::Arithmetic => make::arithmetic::draft(level, rng),
            Self::Geometry => make::geometry::draft(level, rng),
            Self::Chart => make::chart::draft(level, rng),
            Self::Ocr => make::ocr::draft(level, rng),
            Self::Grounding => make::grounding::draft(level, rng),
            Self::Spatial => make::spatial::draft(level, rng),
            Self::Gui => make::gui::draft(level, rng),
            Self::Compare => make::compare::draft(level, rng),
            Self::Video => make::video::draft(level, rng),
        }
    }
}
