"""The names of General MIDI: 128 programs and the drums of its percussion channel."""

from __future__ import annotations

from musiclstm.score import DRUMS

_FAMILIES = """
Acoustic Grand Piano, Bright Acoustic Piano, Electric Grand Piano, Honky-tonk Piano,
Electric Piano 1, Electric Piano 2, Harpsichord, Clavinet
Celesta, Glockenspiel, Music Box, Vibraphone, Marimba, Xylophone, Tubular Bells, Dulcimer
Drawbar Organ, Percussive Organ, Rock Organ, Church Organ, Reed Organ, Accordion, Harmonica, Tango Accordion
Nylon Guitar, Steel Guitar, Jazz Guitar, Clean Guitar, Muted Guitar, Overdriven Guitar,
Distortion Guitar, Guitar Harmonics
Acoustic Bass, Finger Bass, Pick Bass, Fretless Bass, Slap Bass 1, Slap Bass 2, Synth Bass 1, Synth Bass 2
Violin, Viola, Cello, Contrabass, Tremolo Strings, Pizzicato Strings, Orchestral Harp, Timpani
String Ensemble 1, String Ensemble 2, Synth Strings 1, Synth Strings 2, Choir Aahs, Voice Oohs,
Synth Choir, Orchestra Hit
Trumpet, Trombone, Tuba, Muted Trumpet, French Horn, Brass Section, Synth Brass 1, Synth Brass 2
Soprano Sax, Alto Sax, Tenor Sax, Baritone Sax, Oboe, English Horn, Bassoon, Clarinet
Piccolo, Flute, Recorder, Pan Flute, Blown Bottle, Shakuhachi, Whistle, Ocarina
Square Lead, Sawtooth Lead, Calliope Lead, Chiff Lead, Charang Lead, Voice Lead, Fifths Lead, Bass and Lead
New Age Pad, Warm Pad, Polysynth Pad, Choir Pad, Bowed Pad, Metallic Pad, Halo Pad, Sweep Pad
Rain, Soundtrack, Crystal, Atmosphere, Brightness, Goblins, Echoes, Sci-fi
Sitar, Banjo, Shamisen, Koto, Kalimba, Bagpipe, Fiddle, Shanai
Tinkle Bell, Agogo, Steel Drums, Woodblock, Taiko Drum, Melodic Tom, Synth Drum, Reverse Cymbal
Guitar Fret Noise, Breath Noise, Seashore, Bird Tweet, Telephone Ring, Helicopter, Applause, Gunshot
"""
PROGRAM_NAMES = tuple(name.strip() for name in _FAMILIES.strip().replace(",\n", ",").replace("\n", ",").split(","))

_FAMILY_NAMES = """
piano chromatic_percussion organ guitar bass strings ensemble brass reed pipe synth_lead synth_pad synth_effects
ethnic percussive sound_effects
"""
FAMILIES = {name: range(8 * i, 8 * i + 8) for i, name in enumerate(_FAMILY_NAMES.split())}
"""The programs of each family of instruments."""

_FIRST_DRUM = 27  # as General MIDI 2 has it; level 1 names 35 to 81
_DRUMS = """
High Q, Slap, Scratch Push, Scratch Pull, Sticks, Square Click, Metronome Click, Metronome Bell,
Acoustic Bass Drum, Bass Drum, Side Stick, Acoustic Snare, Hand Clap, Electric Snare, Low Floor Tom,
Closed Hi-hat, High Floor Tom, Pedal Hi-hat, Low Tom, Open Hi-hat, Low-mid Tom, High-mid Tom, Crash Cymbal 1,
High Tom, Ride Cymbal 1, Chinese Cymbal, Ride Bell, Tambourine, Splash Cymbal, Cowbell, Crash Cymbal 2,
Vibraslap, Ride Cymbal 2, High Bongo, Low Bongo, Mute High Conga, Open High Conga, Low Conga, High Timbale,
Low Timbale, High Agogo, Low Agogo, Cabasa, Maracas, Short Whistle, Long Whistle, Short Guiro, Long Guiro,
Claves, High Wood Block, Low Wood Block, Mute Cuica, Open Cuica, Mute Triangle, Open Triangle,
Shaker, Jingle Bell, Belltree, Castanets, Mute Surdo, Open Surdo
"""
DRUM_NAMES = dict(enumerate((name.strip() for name in _DRUMS.replace("\n", " ").split(",")), _FIRST_DRUM))
DRUM_NAMES |= {22: "Closed Hi-hat Edge", 26: "Open Hi-hat Edge"}  # not General MIDI, but what electronic kits send

DRUM_KINDS = {
    "Kick": (35, 36),
    "Snare": (37, 38, 40),
    "Hi-hat": (22, 26, 42, 44, 46),
    "Toms": (41, 43, 45, 47, 48, 50),
    "Cymbals": (49, 51, 52, 53, 55, 57, 59),
}
"""The drums of a kit, from the floor up."""


def program_name(program: int) -> str:
    """The name of a `program` of 0 to 127, and 'Drums' for DRUMS."""
    return "Drums" if program == DRUMS else PROGRAM_NAMES[program]


def drum_name(pitch: int) -> str:
    """The drum that `pitch` strikes; 'Drum 90' and the like where General MIDI names none."""
    return DRUM_NAMES.get(pitch, f"Drum {pitch}")


def drum_kind(pitch: int) -> str:
    """The kind of drum that `pitch` strikes: a key of DRUM_KINDS, or 'Percussion'."""
    return next((kind for kind, pitches in DRUM_KINDS.items() if pitch in pitches), "Percussion")
