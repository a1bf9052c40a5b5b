"""DCAT 3 as the Dataspace Protocol profiles it: Catalog, Dataset, Distribution, DataService."""
