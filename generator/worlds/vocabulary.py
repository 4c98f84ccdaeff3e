"""The words that prompts are read with: names of kinds, related places, and modifiers."""

from __future__ import annotations

KINDS: tuple[str, ...] = (
    "warehouse_aisle",
    "loading_dock",
    "factory_cell",
    "office_corridor",
    "open_office",
    "kitchen",
    "living_room",
    "laboratory",
    "hospital_room",
    "parking_garage",
)
"""Every kind of world that can be built."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "warehouse_aisle": (
        "warehouse aisle", "warehouse", "aisle", "storage", "storage aisle", "storage hall", "storehouse", "storeroom",
        "stockroom", "depot", "distribution centre", "distribution center", "fulfilment centre", "fulfillment center",
        "logistics centre", "logistics center", "pallet rack", "pallet racks", "racking", "high bay", "depository",
        "warehouse corridor", "warehouse hall", "cold store",
    ),
    "loading_dock": (
        "loading dock", "dock", "loading bay", "loading ramp", "truck dock", "shipping dock", "shipping area",
        "receiving area", "receiving bay", "goods in", "goods out", "dispatch area", "unloading bay", "warehouse dock",
        "truck bay",
    ),
    "factory_cell": (
        "factory cell", "factory", "robot cell", "robotic cell", "work cell", "workcell", "manufacturing cell",
        "assembly line", "assembly cell", "production line", "production hall", "plant floor", "shop floor",
        "factory floor", "factory hall", "workshop", "machine shop", "welding cell", "machining cell", "manufacturing plant",
    ),
    "office_corridor": (
        "office corridor", "corridor", "hallway", "hall way", "passage", "passageway", "office hallway", "hospital corridor",
        "hospital hallway", "hotel corridor", "hotel hallway", "school corridor", "school hallway", "laboratory corridor",
        "walkway",
    ),
    "open_office": (
        "open office", "office", "open plan office", "office space", "workspace", "coworking space", "coworking", "cubicle",
        "cubicles", "call centre", "call center", "bullpen", "newsroom", "open plan",
    ),
    "kitchen": ("kitchen", "kitchenette", "galley", "cookhouse", "pantry", "home kitchen", "scullery"),
    "living_room": (
        "living room", "livingroom", "lounge", "sitting room", "family room", "den", "parlour", "parlor", "drawing room",
        "front room", "apartment", "flat",
    ),
    "laboratory": (
        "laboratory", "lab", "chemistry lab", "biology lab", "wet lab", "research lab", "clean room", "cleanroom",
        "test lab", "science lab", "laboratory room",
    ),
    "hospital_room": (
        "hospital room", "hospital", "ward", "hospital ward", "clinic", "patient room", "sickroom", "infirmary",
        "recovery room", "intensive care", "icu", "medical room", "sick bay", "clinic room",
    ),
    "parking_garage": (
        "parking garage", "garage", "car park", "carpark", "parking", "parking lot", "parking deck", "parkade",
        "underground parking", "parking structure", "underground garage", "multi storey car park",
    ),
}  # fmt: skip
"""Phrases that name a kind; a match makes the choice exact."""

RELATED: dict[str, tuple[str, ...]] = {
    "warehouse_aisle": (
        "supermarket", "shop", "store", "market", "library", "archive", "hangar", "gym", "barn", "shed", "attic",
        "basement", "cellar", "retail", "church", "cathedral", "shelves", "pallets", "forklift",
    ),
    "loading_dock": ("truck", "lorry", "harbour", "harbor", "port", "trailer", "freight", "delivery", "shipping", "logistics"),
    "factory_cell": ("robot", "machine", "industrial", "industry", "mill", "foundry", "manufacturing", "welding", "conveyor"),
    "office_corridor": ("hotel", "lobby", "entrance", "hall", "foyer", "tunnel", "stairs", "staircase", "elevator", "school"),
    "open_office": ("classroom", "meeting room", "conference room", "desk", "computer", "bank", "studio", "study", "startup"),
    "kitchen": ("restaurant", "cafe", "bakery", "canteen", "diner", "bar", "bathroom", "toilet", "laundry", "cooking", "food"),
    "living_room": ("bedroom", "house", "home", "room", "sofa", "dining room", "nursery", "cabin", "cottage", "playroom", "theatre"),
    "laboratory": ("science", "chemistry", "physics", "biology", "pharmacy", "research", "microscope", "greenhouse"),
    "hospital_room": ("doctor", "nurse", "patient", "dentist", "surgery", "operating theatre", "medical", "nursing home", "bed"),
    "parking_garage": ("car", "cars", "street", "road", "vehicle", "bus", "subway", "metro", "station", "bunker", "underpass"),
}  # fmt: skip
"""Phrases that suggest a kind without naming it; a match is a guess, and the message says so."""

COLOURS: dict[str, str] = {
    "red": "red", "crimson": "red", "scarlet": "red", "maroon": "red", "orange": "orange", "yellow": "yellow",
    "gold": "yellow", "golden": "yellow", "green": "green", "olive": "green", "lime": "green", "mint": "green",
    "teal": "teal", "turquoise": "teal", "cyan": "teal", "aqua": "teal", "blue": "blue", "navy": "blue", "azure": "blue",
    "purple": "purple", "violet": "purple", "lilac": "purple", "magenta": "purple", "pink": "pink", "rose": "pink",
    "brown": "brown", "tan": "brown", "beige": "beige", "cream": "beige", "ivory": "beige", "white": "white",
    "grey": "grey", "gray": "grey", "silver": "grey", "black": "black", "dark grey": "black",
}  # fmt: skip

MATERIALS: dict[str, str] = {
    "wooden": "wood", "wood": "wood", "timber": "wood", "oak": "wood", "pine": "wood", "walnut": "wood", "plywood": "wood",
    "metal": "metal", "metallic": "metal", "steel": "metal", "iron": "metal", "aluminium": "metal", "aluminum": "metal",
    "concrete": "concrete", "cement": "concrete", "stone": "concrete", "brick": "brick", "bricks": "brick",
    "tiled": "tile", "tile": "tile", "tiles": "tile", "ceramic": "tile", "marble": "tile", "plastic": "plastic",
    "carpet": "carpet", "carpeted": "carpet",
}  # fmt: skip

CLUTTER: dict[str, str] = {
    "cluttered": "cluttered", "messy": "cluttered", "untidy": "cluttered", "crowded": "cluttered", "busy": "cluttered",
    "full": "cluttered", "packed": "cluttered", "chaotic": "cluttered", "crammed": "cluttered", "stocked": "cluttered",
    "tidy": "tidy", "clean": "tidy", "neat": "tidy", "organised": "tidy", "organized": "tidy", "orderly": "tidy",
    "uncluttered": "tidy", "minimal": "tidy", "minimalist": "tidy", "spotless": "tidy", "empty": "empty",
    "bare": "empty", "vacant": "empty", "deserted": "empty", "abandoned": "empty", "unfurnished": "empty",
}  # fmt: skip

WIDTH: dict[str, str] = {
    "narrow": "narrow", "slim": "narrow", "tight": "narrow", "cramped": "narrow",
    "wide": "wide", "broad": "wide", "spacious": "wide",
}  # fmt: skip

SIZE: dict[str, str] = {
    "small": "small", "tiny": "small", "little": "small", "compact": "small", "cosy": "small", "cozy": "small",
    "large": "large", "big": "large", "huge": "large", "vast": "large", "giant": "large", "grand": "large",
}  # fmt: skip

BRIGHTNESS: dict[str, str] = {
    "dim": "dim", "dark": "dim", "gloomy": "dim", "shadowy": "dim", "night": "dim", "dusky": "dim", "unlit": "dim",
    "bright": "bright", "sunny": "bright", "lit": "bright", "brightly": "bright", "daylight": "bright", "daylit": "bright",
}  # fmt: skip

TEMPERATURE: dict[str, str] = {
    "warm": "warm", "cosily": "warm", "sunset": "warm", "evening": "warm", "candlelit": "warm", "cold": "cold",
    "cool": "cold", "chilly": "cold", "neon": "cold", "fluorescent": "cold", "icy": "cold",
}  # fmt: skip

PREPOSITIONS = frozenset(
    (
        "with",
        "in",
        "of",
        "at",
        "near",
        "beside",
        "for",
        "from",
        "behind",
        "under",
        "inside",
        "by",
        "on",
        "and",
    )
)
NEGATIONS = frozenset(("no", "not", "without", "non", "never"))
FILLERS = PREPOSITIONS | frozenset(
    ("a", "an", "the", "some", "very", "really", "quite", "that", "this", "is", "are", "its", "it", "to", "or", "very", "please",
     "make", "me", "show", "generate", "create", "scene", "place", "area", "space", "looking", "style", "photo", "picture", "view")
)  # fmt: skip
"""Words that carry no wish of their own; they are neither understood nor ignored."""
