//! Words that are written on pictures: short, common, and easy to tell apart.

/// Two and three letters.
pub(super) const SHORT: [&str; 48] = [
    "cat", "dog", "sun", "sky", "red", "box", "cup", "hat", "key", "map", "pen", "bus", "car",
    "egg", "fox", "ice", "jam", "leg", "net", "oak", "pig", "rat", "sea", "tea", "van", "wax",
    "yes", "zoo", "up", "go", "in", "on", "we", "it", "me", "ox", "am", "be", "hi", "no", "arm",
    "bee", "cow", "day", "ear", "fig", "gas", "ink",
];

/// Four and five letters.
pub(super) const MIDDLE: [&str; 60] = [
    "ball", "bird", "blue", "boat", "book", "cake", "city", "corn", "desk", "door", "duck", "fire",
    "fish", "flag", "game", "gold", "hand", "home", "king", "lamp", "leaf", "lion", "milk", "moon",
    "nest", "park", "rain", "ring", "road", "rose", "ship", "snow", "star", "time", "tree", "wind",
    "apple", "beach", "bread", "chair", "cloud", "dance", "earth", "field", "glass", "grape",
    "green", "horse", "house", "juice", "lemon", "light", "mouse", "music", "night", "paper",
    "plant", "river", "stone", "water",
];

/// Six to eight letters.
pub(super) const LONG: [&str; 40] = [
    "animal", "basket", "bottle", "bridge", "butter", "candle", "castle", "cheese", "circle",
    "coffee", "dragon", "flower", "forest", "garden", "island", "jacket", "kitten", "letter",
    "market", "mirror", "monkey", "number", "orange", "pencil", "planet", "rabbit", "school",
    "silver", "spring", "summer", "window", "winter", "yellow", "balloon", "chicken", "holiday",
    "kitchen", "morning", "picture", "rainbow",
];

/// What charts are about.
pub(super) const GOODS: [&str; 12] = [
    "tea", "milk", "rice", "corn", "fish", "salt", "wool", "wood", "gold", "iron", "oil", "gas",
];

/// What buttons say.
pub(super) const BUTTONS: [&str; 14] = [
    "OK", "Save", "Open", "Send", "Back", "Next", "Help", "Stop", "Play", "Edit", "Quit", "Copy",
    "New", "Buy",
];

/// What fields are called.
pub(super) const FIELDS: [&str; 6] = ["Name", "City", "Mail", "Code", "Date", "User"];
