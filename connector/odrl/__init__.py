"""ODRL 2.2 policies as the Dataspace Protocol carries them: model, canonical form, compiled decisions."""
