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


def _phrases(listed: str) -> tuple[str, ...]:
    """Split a list of phrases at its commas."""
    return tuple(" ".join(phrase.split()) for phrase in listed.split(","))


def _meanings(**listed: str) -> dict[str, str]:
    """Return what every word means, from lists of the words for each meaning."""
    return {word: meaning for meaning, words in listed.items() for word in words.split()}


SYNONYMS: dict[str, tuple[str, ...]] = {
    "warehouse_aisle": _phrases(
        """
        warehouse aisle, warehouse, aisle, storage, storage aisle, storage hall, storehouse,
        storeroom, stockroom, depot, distribution centre, distribution center, fulfilment
        centre, fulfillment center, logistics centre, logistics center, pallet rack, pallet
        racks, racking, high bay, depository, warehouse corridor, warehouse hall, cold store
        """
    ),
    "loading_dock": _phrases(
        """
        loading dock, dock, loading bay, loading ramp, truck dock, shipping dock, shipping
        area, receiving area, receiving bay, goods in, goods out, dispatch area, unloading
        bay, warehouse dock, truck bay
        """
    ),
    "factory_cell": _phrases(
        """
        factory cell, factory, robot cell, robotic cell, work cell, workcell, manufacturing
        cell, assembly line, assembly cell, production line, production hall, plant floor,
        shop floor, factory floor, factory hall, workshop, machine shop, welding cell,
        machining cell, manufacturing plant
        """
    ),
    "office_corridor": _phrases(
        """
        office corridor, corridor, hallway, hall way, passage, passageway, office hallway,
        hospital corridor, hospital hallway, hotel corridor, hotel hallway, school corridor,
        school hallway, laboratory corridor, walkway
        """
    ),
    "open_office": _phrases(
        """
        open office, office, open plan office, office space, workspace, coworking space,
        coworking, cubicle, cubicles, call centre, call center, bullpen, newsroom, open plan
        """
    ),
    "kitchen": _phrases(
        """
        kitchen, kitchenette, galley, cookhouse, pantry, home kitchen, scullery
        """
    ),
    "living_room": _phrases(
        """
        living room, livingroom, lounge, sitting room, family room, den, parlour, parlor,
        drawing room, front room, apartment, flat
        """
    ),
    "laboratory": _phrases(
        """
        laboratory, lab, chemistry lab, biology lab, wet lab, research lab, clean room,
        cleanroom, test lab, science lab, laboratory room
        """
    ),
    "hospital_room": _phrases(
        """
        hospital room, hospital, ward, hospital ward, clinic, patient room, sickroom,
        infirmary, recovery room, intensive care, icu, medical room, sick bay, clinic room
        """
    ),
    "parking_garage": _phrases(
        """
        parking garage, garage, car park, carpark, parking, parking lot, parking deck,
        parkade, underground parking, parking structure, underground garage, multi storey
        car park
        """
    ),
}
"""Phrases that name a kind; a match makes the choice exact."""

RELATED: dict[str, tuple[str, ...]] = {
    "warehouse_aisle": _phrases(
        """
        supermarket, shop, store, market, library, archive, hangar, gym, barn, shed, attic,
        basement, cellar, retail, church, cathedral, shelves, pallets, forklift
        """
    ),
    "loading_dock": _phrases(
        """
        truck, lorry, harbour, harbor, port, trailer, freight, delivery, shipping, logistics
        """
    ),
    "factory_cell": _phrases(
        """
        robot, machine, industrial, industry, mill, foundry, manufacturing, welding,
        conveyor
        """
    ),
    "office_corridor": _phrases(
        """
        hotel, lobby, entrance, hall, foyer, tunnel, stairs, staircase, elevator, school
        """
    ),
    "open_office": _phrases(
        """
        classroom, meeting room, conference room, desk, computer, bank, studio, study,
        startup
        """
    ),
    "kitchen": _phrases(
        """
        restaurant, cafe, bakery, canteen, diner, bar, bathroom, toilet, laundry, cooking,
        food
        """
    ),
    "living_room": _phrases(
        """
        bedroom, house, home, room, sofa, dining room, nursery, cabin, cottage, playroom,
        theatre
        """
    ),
    "laboratory": _phrases(
        """
        science, chemistry, physics, biology, pharmacy, research, microscope, greenhouse
        """
    ),
    "hospital_room": _phrases(
        """
        doctor, nurse, patient, dentist, surgery, operating theatre, medical, nursing home,
        bed
        """
    ),
    "parking_garage": _phrases(
        """
        car, cars, street, road, vehicle, bus, subway, metro, station, bunker, underpass
        """
    ),
}
"""Phrases that suggest a kind without naming it; a match is a guess, and the message says so."""

COLOURS: dict[str, str] = _meanings(
    red="red crimson scarlet maroon",
    orange="orange",
    yellow="yellow gold golden",
    green="green olive lime mint",
    teal="teal turquoise cyan aqua",
    blue="blue navy azure",
    purple="purple violet lilac magenta",
    pink="pink rose",
    brown="brown tan",
    beige="beige cream ivory",
    white="white",
    grey="grey gray silver",
    black="black",
)
"""Words for colours."""

MATERIALS: dict[str, str] = _meanings(
    wood="wooden wood timber oak pine walnut plywood",
    metal="metal metallic steel iron aluminium aluminum",
    concrete="concrete cement stone",
    brick="brick bricks",
    tile="tiled tile tiles ceramic marble",
    plastic="plastic",
    carpet="carpet carpeted",
)
"""Words for materials."""

CLUTTER: dict[str, str] = _meanings(
    cluttered="cluttered messy untidy crowded busy full packed chaotic crammed stocked",
    tidy="tidy clean neat organised organized orderly uncluttered minimal minimalist spotless",
    empty="empty bare vacant deserted abandoned unfurnished",
)
"""Words for the amount of loose things."""

WIDTH: dict[str, str] = _meanings(
    narrow="narrow slim tight cramped",
    wide="wide broad spacious",
)
"""Words for the width of a room."""

SIZE: dict[str, str] = _meanings(
    small="small tiny little compact cosy cozy",
    large="large big huge vast giant grand",
)
"""Words for the size of a room."""

BRIGHTNESS: dict[str, str] = _meanings(
    dim="dim dark gloomy shadowy night dusky unlit",
    bright="bright sunny lit brightly daylight daylit",
)
"""Words for the amount of light."""

TEMPERATURE: dict[str, str] = _meanings(
    warm="warm cosily sunset evening candlelit",
    cold="cold cool chilly neon fluorescent icy",
)
"""Words for the colour of the light."""

PREPOSITIONS = frozenset(
    _phrases("with, in, of, at, near, beside, for, from, behind, under, inside, by, on, and")
)
"""Words that end the noun phrase which names the place."""
NEGATIONS = frozenset(_phrases("no, not, without, non, never"))
"""Words that cancel the modifier right after them."""
FILLERS = PREPOSITIONS | frozenset(
    _phrases(
        """
        a, an, the, some, very, really, quite, that, this, is, are, its, it, to, or, please, make, me, show,
        generate, create, scene, place, area, space, looking, style, photo, picture, view
        """
    )
)
"""Words that carry no wish of their own; they are neither understood nor ignored."""
