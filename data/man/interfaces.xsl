<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- Combines the output of gdbus-codegen for the interface files to one page. The input is
     org.architect.Node.5.xml or org.architect.Desk.5.xml, in which <?interface NAME?> stands for the description, the methods,
     the signals and the properties of one interface, and <?options?> for a list of the options. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" encoding="UTF-8"/>

  <!-- The directory of gdbus-codegen's files, with the beginning of their names. -->
  <xsl:param name="generated"/>

  <!-- The section of list-role-options. -->
  <xsl:param name="options"/>

  <xsl:template match="@* | node()">
    <xsl:copy><xsl:apply-templates select="@* | node()"/></xsl:copy>
  </xsl:template>

  <xsl:template match="processing-instruction('interface')">
    <xsl:variable name="name" select="normalize-space(.)"/>
    <xsl:variable name="page" select="document(concat($generated, $name, '.xml'))/refentry"/>
    <xsl:variable name="details" select="$page/refsect1[@role = 'details']"/>

    <xsl:if test="not($details)">
      <xsl:message terminate="yes">There is no description of <xsl:value-of select="$name"/></xsl:message>
    </xsl:if>

    <refsect1>
      <title>The interface <xsl:value-of select="$name"/></title>
      <xsl:apply-templates select="$page/refsect1[@role = 'desc']/para"/>
    </refsect1>
    <xsl:if test="$details/refsect2[@role = 'method']">
      <refsect1>
        <title>Methods of <xsl:value-of select="$name"/></title>
        <xsl:apply-templates select="$details/refsect2[@role = 'method']"/>
      </refsect1>
    </xsl:if>
    <xsl:if test="$details/refsect2[@role = 'signal']">
      <refsect1>
        <title>Signals of <xsl:value-of select="$name"/></title>
        <xsl:apply-templates select="$details/refsect2[@role = 'signal']"/>
      </refsect1>
    </xsl:if>
    <xsl:if test="$details/refsect2[@role = 'property']">
      <refsect1>
        <title>Properties of <xsl:value-of select="$name"/></title>
        <para>All are read-only.</para>
        <variablelist>
          <xsl:apply-templates select="$details/refsect2[@role = 'property']"/>
        </variablelist>
      </refsect1>
    </xsl:if>
  </xsl:template>

  <xsl:template match="processing-instruction('options')">
    <xsl:copy-of select="document($options)/refsect1"/>
  </xsl:template>

  <!-- A method or a signal: its signature, its arguments, then its text. -->
  <xsl:template match="refsect2">
    <refsect2>
      <title><xsl:apply-templates select="." mode="name"/></title>
      <xsl:apply-templates select="programlisting"/>
      <xsl:apply-templates select="variablelist[varlistentry]"/>
      <xsl:apply-templates select="para"/>
    </refsect2>
  </xsl:template>

  <xsl:template match="varlistentry">
    <varlistentry>
      <term><parameter><xsl:value-of select="term//parameter"/></parameter></term>
      <xsl:apply-templates select="listitem"/>
    </varlistentry>
  </xsl:template>

  <!-- A property: name and type, then its text. -->
  <xsl:template match="refsect2[@role = 'property']">
    <xsl:variable name="form" select="normalize-space(programlisting)"/>

    <xsl:if test="not(contains($form, ' readable '))">
      <xsl:message terminate="yes">Not a read-only property: <xsl:value-of select="$form"/></xsl:message>
    </xsl:if>
    <varlistentry>
      <term>
        <literal><xsl:apply-templates select="." mode="name"/></literal>
        <xsl:value-of select="concat(' (', substring-after($form, ' readable '), ')')"/>
      </term>
      <listitem><xsl:apply-templates select="para"/></listitem>
    </varlistentry>
  </xsl:template>

  <!-- 'The Start() method', 'The "State" property' -->
  <xsl:template match="refsect2" mode="name">
    <xsl:value-of select="translate(substring-before(substring-after(title, 'The '), ' '), '&quot;', '')"/>
  </xsl:template>

  <!-- 'stdin (s): pipe or null': one entry of a list of options or details. -->
  <xsl:template match="refsect2/para[contains(substring-before(., ': '), ' (') and
                                     substring(substring-before(., ': '), string-length(substring-before(., ': '))) = ')']">
    <variablelist>
      <varlistentry>
        <term><literal><xsl:value-of select="normalize-space(substring-before(., ': '))"/></literal></term>
        <listitem><para><xsl:value-of select="substring-after(., ': ')"/></para></listitem>
      </varlistentry>
    </variablelist>
  </xsl:template>

  <xsl:template match="link"><xsl:apply-templates/></xsl:template>
  <xsl:template match="refsect2/variablelist/@role"/>
  <xsl:template match="para[not(normalize-space())]"/>

  <!-- gdbus-codegen begins a listing with an empty line. -->
  <xsl:template match="programlisting/text()[1][starts-with(., '&#10;')]">
    <xsl:value-of select="substring(., 2)"/>
  </xsl:template>
</xsl:stylesheet>
